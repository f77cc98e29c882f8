package gateway

import (
	"strings"
	"testing"
	"time"
)

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
	for _, bad := range [][]string{{"root"}, {"Shell"}, {""}, {"upload"}} {
		if _, err := ParseAbilities(bad); err == nil {
			t.Errorf("ParseAbilities took %q", bad)
		}
	}
}

func TestEndReasonsAreAllWorded(t *testing.T) {
	for _, r := range []EndReason{EndClientLeft, EndTargetLeft, EndWindow, EndSuspended, EndRevoked, EndByStaff, EndRecorder, EndStore, EndTarget, EndHostKey, EndIdle, EndStopping, EndCrashed, EndNotGranted, EndFault} {
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
