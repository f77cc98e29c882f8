package web

import (
	"cmp"
	"fmt"
	"html/template"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// state is a state in a word, a shape and a tone: never in colour alone.
type state struct {
	Word  string
	Tone  string // class of the stylesheet
	Shape template.HTML
}

// shapes are drawn in a box of 12 by 12.
var shapes = map[string]template.HTML{
	"dot":    `<circle cx="6" cy="6" r="4.5" fill="currentColor"/>`,
	"half":   `<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5"/><path d="M6 1.75a4.25 4.25 0 0 1 0 8.5z" fill="currentColor"/>`,
	"pause":  `<path d="M2.25 1.5h2.75v9H2.250zM7 1.5h2.750v9H7z" fill="currentColor"/>`,
	"ring":   `<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.75"/>`,
	"square": `<rect x="2.25" y="2.25" width="7.5" height="7.5" rx="1" fill="none" stroke="currentColor" stroke-width="1.5"/>`,
	"check":  `<path d="M1.75 6.5 4.75 9.5 10.25 2.75" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`,
	"cross":  `<path d="M2.5 2.5l7 7m0-7l-7 7" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"/>`,
	"gate":   `<path d="M1 1.5h10M3 1.5V10m3-8.5V10m3-8.5V10M1 5.5h10" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"/>`,
	"bar1":   `<path d="M1.5 8h2v2.5h-2z" fill="currentColor"/><path d="M5 5.5h2v5H5zM8.5 2h2v8.500h-2z" fill="currentColor" opacity=".25"/>`,
	"bar2":   `<path d="M1.5 8h2v2.5h-2zM5 5.500h2v5H5z" fill="currentColor"/><path d="M8.5 2h2v8.500h-2z" fill="currentColor" opacity=".25"/>`,
	"bar3":   `<path d="M1.500 8h2v2.500h-2zM5 5.500h2v5H5zM8.500 2h2v8.500h-2z" fill="currentColor"/>`,
}

var states = map[string][2]string{ // word: shape, tone
	"live": {"dot", "ok"}, "open": {"dot", "ok"}, "active": {"dot", "ok"}, "ok": {"check", "ok"}, "granted": {"check", "ok"}, "agreed": {"check", "ok"}, "allow": {"check", "ok"},
	"PASS": {"check", "ok"}, "closed, measured": {"check", "ok"}, "sealed": {"check", "ok"}, "holds": {"check", "ok"}, "answered": {"check", "ok"}, "verified": {"check", "ok"},
	"starting": {"half", "wait"}, "up": {"dot", "ok"}, "down": {"ring", "off"}, "silent": {"ring", "wait"}, "ending": {"half", "wait"}, "waiting": {"half", "wait"}, "restoring": {"half", "wait"}, "PENDING": {"half", "wait"},
	"needs-approval": {"half", "wait"}, "writing": {"half", "wait"}, "interrupted": {"half", "wait"}, "no answer yet": {"half", "wait"}, "failed": {"cross", "stop"}, "node-away": {"half", "wait"},
	"frozen": {"pause", "info"}, "draining": {"half", "wait"}, "excepted": {"ring", "wait"}, "left": {"ring", "wait"},
	"watch-only": {"half", "wait"}, "supervised": {"half", "info"}, "normal": {"check", "ok"}, "nobody watches": {"pause", "wait"},
	"planned": {"ring", "info"}, "empty seat": {"ring", "info"}, "self": {"ring", "info"}, "none": {"ring", "off"},
	"ended": {"square", "off"}, "closed": {"square", "off"}, "lapsed": {"square", "off"}, "withdrawn": {"square", "off"}, "removed": {"square", "off"}, "lifted": {"square", "off"},
	"refused": {"cross", "stop"}, "refuse": {"cross", "stop"}, "FAIL": {"cross", "stop"}, "missing": {"cross", "stop"}, "still open": {"cross", "stop"},
	"suspended": {"gate", "stop"}, "cancelled": {"gate", "stop"}, "in force": {"gate", "stop"},
	"shut": {"gate", "ok"}, "look at it": {"half", "wait"},
	"to rotate": {"half", "wait"}, "rotated": {"check", "ok"}, "expires by itself": {"check", "off"}, "not on file": {"ring", "wait"}, "no suspicion": {"ring", "off"},
	"low": {"bar1", "off"}, "medium": {"bar2", "wait"}, "high": {"bar3", "stop"},
}

// stateOf dresses any word of the closed lists.
func stateOf(word any) state {
	w := fmt.Sprint(word)
	look, ok := states[w]
	if !ok {
		look = [2]string{"ring", "off"}
	}
	return state{Word: strings.ReplaceAll(w, "-", " "), Tone: look[0+1], Shape: shapes[look[0]]}
}

// funcs are the templates' helpers.
func funcs(now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"state":    stateOf,
		"stamp":    stamp,
		"clock":    func(t time.Time) string { return t.UTC().Format("15:04:05") },
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"input":    inputTime,
		"span":     span,
		"until":    func(t time.Time) string { return left(t.Sub(now())) },
		"ago":      func(t time.Time) string { return ago(now().Sub(t)) },
		"between":  func(a, b time.Time) string { return span(b.Sub(a)) },
		"bytes":    size,
		"millis":   func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) },
		"seconds":  func(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) },
		"short":    short,
		"list":     listed,
		"may":      abilitiesOf,
		"each":     eachAbility,
		"account":  accountLine,
		"netname":  networkName,
		"pieces":   pieces,
		"lines":    func(l []string) string { return strings.Join(l, "\n") },
		"plain":    func(v any) string { return strings.ReplaceAll(fmt.Sprint(v), "-", " ") },
		"sameday":  func(a, b time.Time) bool { return a.UTC().Format(time.DateOnly) == b.UTC().Format(time.DateOnly) },
		"minute":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
		"hour":     func(t time.Time) string { return t.UTC().Format("15:04 UTC") },
		"sentence": func(r gateway.EndReason) string { return upper(r.Sentence()) },
		"upper":    upper,
		"work":     workWord,
		"isPath":   func(word string) bool { return strings.HasPrefix(word, pathWord) },
		"minus":    func(n int) int { return -n },
		"add":      func(a, b int) int { return a + b },
		"dict":     dict,
		"fate":     fated,
		"scope":    scopeText,
		"pathText": pathText,
		"probed":   probed,
		"milli":    func(t time.Time) int { return t.Nanosecond() / int(time.Millisecond) },
		"offset":   offset,
		"opcode":   opcode,
		"barOf":    barOf,
		"flowTo":   flowTo,
		"endedBy":  endedBy,
		"has":      func(list []string, s string) bool { return contains(list, s) },
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// formTime is how a datetime-local input spells a time; ours are UTC.
const formTime = "2006-01-02T15:04"

func inputTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(formTime)
}

// span words a length: "2 h 30 min".
func span(d time.Duration) string {
	if d < 0 {
		d = -d
	}
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h >= 48:
		return fmt.Sprintf("%d d %d h", h/24, h%24)
	case h > 0 && m > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case h > 0:
		return fmt.Sprintf("%d h", h)
	case m >= 10 || m > 0 && s == 0:
		return fmt.Sprintf("%d min", m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	}
	return fmt.Sprintf("%d s", s)
}

func left(d time.Duration) string {
	if d <= 0 {
		return "over"
	}
	return span(d)
}

func ago(d time.Duration) string {
	if d < time.Second {
		return "now"
	}
	return span(d) + " ago"
}

// size words bytes in steps of 1000, as network people count.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		f, unit = f/1000, u
		if f < 999.5 {
			break
		}
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %s", f, unit)
	}
	return fmt.Sprintf("%.0f %s", f, unit)
}

// short cuts a digest or an identifier for a line that a person reads.
func short(v any) string {
	if d, ok := v.(gateway.Digest); ok {
		return d.Short()
	}
	s := fmt.Sprint(v)
	if _, rest, ok := strings.Cut(s, "_"); ok && len(rest) > 8 {
		return "…" + rest[len(rest)-6:]
	}
	if len(s) > 24 {
		return s[:12] + "…" + s[len(s)-6:]
	}
	return s
}

func listed(v any) string {
	var s []string
	switch l := v.(type) {
	case []string:
		s = l
	case []gateway.Role:
		for _, r := range l {
			s = append(s, string(r))
		}
	case gateway.Abilities:
		s = l.List()
	case []netip.Prefix:
		for _, p := range l {
			s = append(s, p.String())
		}
	case []netip.Addr:
		for _, a := range l {
			s = append(s, a.String())
		}
	default:
		return fmt.Sprint(v)
	}
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}

// sshAddress is where engineers connect to.
type sshAddress struct{ host, port string }

func newSSHAddress(s string) sshAddress {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return sshAddress{host: s}
	}
	return sshAddress{host, port}
}

// Host and Port are what an ssh_config says.
func (a sshAddress) Host() string { return a.host }

// Port is 22 where none is told.
func (a sshAddress) Port() string { return cmp.Or(a.port, "22") }

// KnownAs is the gateway's name in a known_hosts.
func (a sshAddress) KnownAs() string {
	if a.Port() == "22" {
		return a.host
	}
	return "[" + a.host + "]:" + a.port
}

// Command is what to type for an account on a target; no account leaves it to
// the grant.
func (a sshAddress) Command(account, target string) string {
	user := target
	if account != "" {
		user = account + "+" + target
	}
	if a.port == "" || a.port == "22" {
		return "ssh " + user + "@" + a.host
	}
	return "ssh -p " + a.port + " " + user + "@" + a.host
}

// upper begins a sentence with a capital letter.
func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// dict hands several values to a part: dict "key" value ….
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict has %d values", len(pairs))
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict key %v is not text", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
