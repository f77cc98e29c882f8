package gateway

import (
	"slices"
	"time"
)

// Stage is how far what was suspended has come back. It only ever goes on to
// the next one; the way back is another suspension.
type Stage string

// The closed list of stages.
const (
	StageWatchOnly  Stage = "watch-only" // people come back and ask; no target is reached
	StageSupervised Stage = "supervised" // sessions, while somebody of the staff watches
	StageNormal     Stage = "normal"     // as before
)

// Stages is the closed list, from the strictest.
var Stages = []Stage{StageWatchOnly, StageSupervised, StageNormal}

// Next is the stage after this one; empty where there is none.
func (s Stage) Next() Stage {
	if i := slices.Index(Stages, s); i >= 0 && i+1 < len(Stages) {
		return Stages[i+1]
	}
	return ""
}

// Stricter reports whether s lets less than t. What is no stage lets nothing.
func (s Stage) Stricter(t Stage) bool { return slices.Index(Stages, s) < slices.Index(Stages, t) }

// Lets says in a sentence what vendors' people can do in the stage.
func (s Stage) Lets() string {
	switch s {
	case StageWatchOnly:
		return "People are invited anew, enrol, sign in and ask. No session opens, so no target is reached."
	case StageSupervised:
		return "A session opens when its window does, and what is typed passes only while somebody of the staff watches it."
	case StageNormal:
		return "Sessions open under what was agreed, as for everybody else."
	}
	return "Nothing."
}

// Stays are the shortest times in the stages before normal, in whole seconds.
type Stays struct {
	WatchOnly  time.Duration `json:"watch_only_ns"`
	Supervised time.Duration `json:"supervised_ns"`
}

// The shortest stays where the configuration names none, and the longest that
// one may be.
const (
	DefaultWatchOnly  = 24 * time.Hour
	DefaultSupervised = 7 * 24 * time.Hour
	MaxStay           = 90 * 24 * time.Hour
)

// In is the shortest stay in the stage; none in normal.
func (s Stays) In(stage Stage) time.Duration {
	switch stage {
	case StageWatchOnly:
		return s.WatchOnly
	case StageSupervised:
		return s.Supervised
	}
	return 0
}

// Ladder is how far a scope has come back, as its signed statements say.
type Ladder struct {
	Scope      Scope     `json:"scope"`
	Suspension string    `json:"suspension,omitempty"` // that was lifted; empty: none ever was
	Epoch      uint64    `json:"epoch"`
	Stage      Stage     `json:"stage"` // empty: not restored
	Since      time.Time `json:"since,omitzero"`
	Next       Stage     `json:"next,omitempty"`
	Earliest   time.Time `json:"earliest,omitzero"` // before which the next is not signed for
	Stays      Stays     `json:"stays,omitzero"`
	Steps      []Step    `json:"steps,omitempty"` // of this restoration, oldest first
	Began      Digest    `json:"began,omitzero"`  // the statement that began the stage
}

// Step is the beginning of one stage.
type Step struct {
	Stage     Stage     `json:"stage"`
	Since     time.Time `json:"since"`
	By        []string  `json:"by"`
	Reason    string    `json:"reason"`
	Statement Digest    `json:"statement"`
}

// UnderWay reports whether the scope was restored and is not back to normal.
func (l Ladder) UnderWay() bool { return l.Stage == StageWatchOnly || l.Stage == StageSupervised }
