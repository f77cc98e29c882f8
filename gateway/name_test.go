package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// V-41, V-30: names have one grammar and one spelling, in which nothing is an
// option, a control character or a line of a configuration.
func TestCheckName(t *testing.T) {
	for _, good := range []string{"acme", "a", "0x", "north-sub.rtu_7", strings.Repeat("a", MaxName)} {
		if err := CheckName("target", good); err != nil {
			t.Errorf("CheckName(%q) = %v, want it taken", good, err)
		}
	}
	bad := []string{
		"", "-acme", ".acme", "acme.", "a..b", "Acme", "a b", "a+b", "a@b", "a/b", "../etc", "a\x00b", "a\nb", "a\x1b[31m",
		"\u202eacme", "аcme" /* Cyrillic а */, "%h", "$(id)", "a|b", "a`b`", strings.Repeat("a", MaxName+1), strings.Repeat("a", 10<<10),
	}
	for _, name := range bad {
		err := CheckName("target", name)
		if !IsCode(err, CodeInvalid) {
			t.Errorf("CheckName(%.20q) = %v, want it refused as invalid", name, err)
		} else if len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\x00\x1b\n\u202e") {
			t.Errorf("refusal of %.20q repeats what was sent: %q", name, err)
		}
	}
}

func TestCheckText(t *testing.T) {
	if err := CheckText("reason", "Öl im Trafo, Störung №5 — 修理\nzweite Zeile", MaxReason, true); err != nil {
		t.Errorf("plain text of many scripts: %v", err)
	}
	for name, s := range map[string]string{
		"bell": "a\ab", "escape": "a\x1b]0;x\ab", "right-to-left override": "a\u202eb", "isolate": "a\u2066b", "zero width space": "a\u200bb",
		"line separator": "a\u2028b", "byte order mark": "\ufeffa", "invalid UTF-8": "a\xffb", "too long": strings.Repeat("é", MaxReason+1),
	} {
		if err := CheckText("reason", s, MaxReason, true); !IsCode(err, CodeInvalid) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	if err := CheckText("title", "two\nlines", MaxTitle, false); err == nil {
		t.Error("a title of two lines was taken")
	}
	if err := CheckNeeded("reason", " \n ", MaxReason, true); err == nil {
		t.Error("a blank reason was taken")
	}
}

func TestIDsSortByBirthAndParse(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 12, 0, 0, time.UTC)
	a, b := NewID("req", now), NewID("req", now.Add(time.Millisecond))
	if a >= b {
		t.Errorf("%s was born before %s and sorts after it", a, b)
	}
	if err := CheckID("req", a); err != nil {
		t.Errorf("CheckID(%q): %v", a, err)
	}
	for _, bad := range []string{"", "req_", "grt" + a[3:], a + "0", a[:len(a)-1], strings.ToUpper(a), a[:len(a)-1] + "/"} {
		if CheckID("req", bad) == nil {
			t.Errorf("CheckID took %q", bad)
		}
	}
	seen := map[string]bool{}
	for range 10_000 {
		id := NewID("ses", now)
		if seen[id] {
			t.Fatalf("%s came twice", id)
		}
		seen[id] = true
	}
}

func TestDigestHasOneSpelling(t *testing.T) {
	d := DigestOf([]byte("x"))
	back, err := ParseDigest(d.String())
	if err != nil || back != d {
		t.Fatalf("ParseDigest(%s) = %s, %v", d, back, err)
	}
	for _, bad := range []string{strings.ToUpper(d.String()), d.String()[1:], d.String() + "0", strings.Repeat("g", 64)} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("ParseDigest took %q", bad)
		}
	}
	if zero, err := ParseDigest(""); err != nil || !zero.IsZero() || zero.String() != "" {
		t.Errorf("the empty text is not the zero digest: %v", err)
	}
}

func TestAbilitiesNeverWiden(t *testing.T) {
	shell, both := Abilities{Shell: true}, Abilities{Shell: true, Exec: true, Forward: []string{"a:1"}}
	if !shell.Within(both) || both.Within(shell) {
		t.Error("Within has it the wrong way round")
	}
	if got := both.And(shell); !got.Shell || got.Exec || len(got.Forward) != 0 {
		t.Errorf("And = %+v, want shell alone", got)
	}
	for _, bad := range [][]string{{"root"}, {"Shell"}, {""}, {"TRACE"}, {"forward"}, {"forward a"}, {"forward a:0"}, {"forward a:080"}, {"forward a:65536"}, {"forward a/b:1"},
		{"forward 0.0.0.0:1"}, {"forward 224.0.0.1:1"}, {"forward [fe80::1%eth0]:1"}, {"forward 10.1:1"}, {"forward *:1"}, {"forward a..b:1"}, {"forward -a:1"}, {"forward a:-1"}} {
		if _, err := ParseAbilities(bad); err == nil {
			t.Errorf("ParseAbilities took %q", bad)
		}
	}
}

// A forward is compared in one spelling, and nothing but what was agreed to
// fits it.
func TestForwardsHaveOneSpelling(t *testing.T) {
	a, err := ParseAbilities([]string{"forward Historian.Plant.:5432", "forward [2001:DB8::1]:80", "forward ::ffff:10.0.0.7:22", "download"})
	if err == nil {
		t.Errorf("an IPv6 address without brackets was taken: %v", a.List())
	}
	a, err = ParseAbilities([]string{"forward Historian.Plant.:5432", "forward [2001:DB8::1]:80", "forward historian.plant:5432", "download"})
	if err != nil || len(a.Forward) != 2 {
		t.Fatalf("%v, %v", a.List(), err)
	}
	back, err := ParseAbilities(a.List())
	if err != nil || !back.Within(a) || !a.Within(back) {
		t.Errorf("List and ParseAbilities are not inverse: %v, %v", back, err)
	}
	for to, want := range map[string]bool{
		"historian.plant:5432": true, "HISTORIAN.plant.:5432": true, "historian.plant:5433": false, "historian:5432": false,
		"[2001:db8:0::1]:80": true, "[2001:db8::2]:80": false, "": false, "localhost:22": false,
	} {
		if a.MayForward(to) != want {
			t.Errorf("MayForward(%q) = %v", to, !want)
		}
	}
}

// Each ability lets its own kind of channel and no other.
func TestAbilitiesByChannel(t *testing.T) {
	all := []Channel{
		{Kind: ChannelShell}, {Kind: ChannelExec}, {Kind: ChannelSFTP}, {Kind: ChannelSCP, Upload: true}, {Kind: ChannelSCP, Download: true},
		{Kind: ChannelGit, Upload: true, Download: true}, {Kind: ChannelForward, To: "a:1"}, {Kind: ChannelRsync}, {Kind: "subsystem"}, {},
	}
	for _, c := range []struct {
		has  Abilities
		lets []int
	}{
		{Abilities{}, nil},
		{Abilities{Shell: true}, []int{0}},
		{Abilities{Exec: true}, []int{1}},
		{Abilities{Upload: true}, []int{2, 3}},
		{Abilities{Download: true}, []int{2, 4}},
		{Abilities{Upload: true, Download: true}, []int{2, 3, 4, 5}},
		{Abilities{Forward: []string{"a:1"}}, []int{6}},
	} {
		for i, ch := range all {
			if got := c.has.Lets(ch); got != slices.Contains(c.lets, i) {
				t.Errorf("%v lets %+v: %v", c.has.List(), ch, got)
			}
		}
	}
	if (Abilities{Upload: true}).LetsFile(FileRead) || (Abilities{Download: true}).LetsFile(FileWrite) || (Abilities{Download: true}).LetsFile(FileRename) ||
		!(Abilities{Download: true}).LetsFile(FileStat) || (Abilities{Shell: true, Exec: true}).LetsFile(FileList) || (Abilities{Upload: true, Download: true}).LetsFile("chroot") {
		t.Error("an operation fits the wrong ability")
	}
}

func TestEndReasonsAreAllWorded(t *testing.T) {
	for _, r := range []EndReason{EndClientLeft, EndTargetLeft, EndWindow, EndSuspended, EndRevoked, EndByStaff, EndRecorder, EndStore, EndTarget, EndHostKey, EndIdle, EndStopping, EndCrashed, EndNotGranted, EndVolume, EndFault} {
		if !r.Known() || r.Sentence() == string(r) {
			t.Errorf("%s has no sentence", r)
		}
	}
}

func TestWhatIsNotOursIsInternal(t *testing.T) {
	secret := "dial tcp 10.0.0.7: password=hunter2"
	e := AsError(&timeoutError{secret})
	if e.Code != CodeInternal || strings.Contains(e.Sentence(), "hunter2") {
		t.Errorf("a vendor would read %q", e.Sentence())
	}
}

type timeoutError struct{ s string }

func (e *timeoutError) Error() string { return e.s }
