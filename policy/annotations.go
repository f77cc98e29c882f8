package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/portcullis/portcullis/gateway"
)

// What holds where a permit does not say.
const (
	DefaultApprovals = 1
	DefaultLongest   = 8 * time.Hour
	DefaultRecording = "full"

	MaxApprovals = 5
	MinIdle      = 2 * time.Minute     // there is a warning a minute before the end
	MaxLongest   = 7 * 24 * time.Hour  // of a person's window, whatever a rule says
	MaxService   = 30 * 24 * time.Hour // of a service account's
)

// obligation is one rule's annotations, read.
type obligation struct {
	id           cedar.PolicyID
	at           Problem // its place; the text is empty
	effect       cedar.Effect
	reason, next string
	approvals    int
	roles        []gateway.Role
	longest      time.Duration
	recording    string
	idle         time.Duration // zero: not said
}

// readAnnotations reads the annotations of a rule and lists what is wrong with
// them. The id is empty if there is none that can be used.
func readAnnotations(p *cedar.Policy) (o obligation, faults []string) {
	o = obligation{effect: p.Effect(), approvals: DefaultApprovals, roles: []gateway.Role{gateway.Approver}, longest: DefaultLongest, recording: DefaultRecording}
	notes := p.Annotations()
	for _, needed := range []string{"id", "reason"} {
		if strings.TrimSpace(string(notes[types.AnnotationKey(needed)])) == "" {
			faults = append(faults, fmt.Sprintf("the rule has no @%s", needed))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		if err := o.read(string(key), string(notes[key])); err != nil {
			faults = append(faults, fmt.Sprintf("@%s: %v", key, err))
		}
	}
	return o, faults
}

func (o *obligation) read(key, value string) (err error) {
	switch key {
	case "id":
		if value == "" {
			return nil // said already
		}
		if err := gateway.CheckName("id", value); err != nil {
			return err
		}
		o.id = cedar.PolicyID(value)
		return nil
	case "reason":
		o.reason = value
		return gateway.CheckText("reason", value, gateway.MaxReason, false)
	case "next":
		o.next = value
		return gateway.CheckText("next", value, gateway.MaxReason, false)
	case "approvals", "roles", "longest", "recording", "idle":
		if o.effect != cedar.Permit {
			return fmt.Errorf("an obligation stands on a permit; a forbid lets nothing happen")
		}
	}
	switch key {
	case "approvals":
		o.approvals, err = strconv.Atoi(value)
		if err != nil || o.approvals < 1 || o.approvals > MaxApprovals {
			return fmt.Errorf("%s is not a number from 1 to %d: somebody else always agrees", gateway.Quote(value), MaxApprovals)
		}
	case "roles":
		o.roles, err = parseRoles(value)
		return err
	case "longest":
		o.longest, err = time.ParseDuration(value)
		if err != nil || o.longest < time.Minute || o.longest > MaxService {
			return fmt.Errorf("%s is not a time from 1m to %s, such as \"8h\"; of a person's window at most %s count", gateway.Quote(value), MaxService, MaxLongest)
		}
	case "idle":
		o.idle, err = time.ParseDuration(value)
		if err != nil || o.idle < MinIdle || o.idle > MaxLongest {
			return fmt.Errorf("%s is not a time from %s to %s, such as \"30m\"", gateway.Quote(value), MinIdle, MaxLongest)
		}
	case "recording":
		if value != DefaultRecording {
			return fmt.Errorf("%s is not \"full\": everything is recorded", gateway.Quote(value))
		}
	default:
		return fmt.Errorf("unknown annotation; known are id, reason, next, approvals, roles, longest, recording, idle")
	}
	return nil
}

// parseRoles reads "approver, admin".
func parseRoles(value string) ([]gateway.Role, error) {
	var roles []gateway.Role
	for name := range strings.SplitSeq(value, ",") {
		r := gateway.Role(strings.TrimSpace(name))
		if !slices.Contains(gateway.StaffRoles, r) {
			return nil, fmt.Errorf("%s is not a role of the staff", gateway.Quote(string(r)))
		}
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles, nil
}
