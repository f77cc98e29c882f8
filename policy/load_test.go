package policy_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/portcullis/portcullis/policy"
)

func TestLoadNamesTheFault(t *testing.T) {
	const good = `@id("ok") @reason("fine") permit (principal, action == Action::"ask", resource);` + "\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"empty folder":               {map[string]string{}, "no rule"},
		"does not parse":             {map[string]string{"a.cedar": good + "permit (principal"}, "a.cedar"},
		"no id":                      {map[string]string{"a.cedar": `@reason("x") permit (principal, action, resource);`}, "a.cedar:1: the rule has no @id"},
		"no reason":                  {map[string]string{"a.cedar": good + `@id("x") permit (principal, action, resource);`}, "a.cedar:2: the rule has no @reason"},
		"id twice in two files":      {map[string]string{"a.cedar": good, "b.cedar": "\n" + good}, `b.cedar:2: rule "ok" stands already at a.cedar:1`},
		"id with blanks":             {map[string]string{"a.cedar": `@id("o k") @reason("x") permit (principal, action, resource);`}, "@id"},
		"misspelt annotation":        {map[string]string{"a.cedar": `@id("x") @reason("x") @aprovals("2") permit (principal, action, resource);`}, "@aprovals: unknown annotation"},
		"no approvals":               {map[string]string{"a.cedar": `@id("x") @reason("x") @approvals("0") permit (principal, action, resource);`}, "somebody else always agrees"},
		"approvals in words":         {map[string]string{"a.cedar": `@id("x") @reason("x") @approvals("two") permit (principal, action, resource);`}, "not a number"},
		"negative longest":           {map[string]string{"a.cedar": `@id("x") @reason("x") @longest("-8h") permit (principal, action, resource);`}, "not a time"},
		"idle without warning":       {map[string]string{"a.cedar": `@id("x") @reason("x") @idle("1m") permit (principal, action, resource);`}, "is not a time from 2m"},
		"longest without unit":       {map[string]string{"a.cedar": `@id("x") @reason("x") @longest("8") permit (principal, action, resource);`}, "not a time"},
		"role of a vendor":           {map[string]string{"a.cedar": `@id("x") @reason("x") @roles("engineer") permit (principal, action, resource);`}, "not a role of the staff"},
		"no recording":               {map[string]string{"a.cedar": `@id("x") @reason("x") @recording("none") permit (principal, action, resource);`}, "everything is recorded"},
		"obligation on a forbid":     {map[string]string{"a.cedar": `@id("x") @reason("x") @approvals("2") forbid (principal, action, resource);`}, "stands on a permit"},
		"misspelt attribute":         {map[string]string{"a.cedar": `@id("x") @reason("x") forbid (principal is Person, action == Action::"ask", resource is Target) when { resource.imapct == "high" };`}, "imapct"},
		"unknown action":             {map[string]string{"a.cedar": `@id("x") @reason("x") permit (principal, action == Action::"asks", resource);`}, "asks"},
		"a file of another ending":   {map[string]string{"a.cedar": good, "night.ceder": good}, "night.ceder: only .cedar"},
		"a folder inside":            {map[string]string{"a.cedar": good, "more/b.cedar": good}, "more: folders"},
		"a reason with bidi marks":   {map[string]string{"a.cedar": "@id(\"x\") @reason(\"a\u202eb\") permit (principal, action, resource);"}, "direction-changing"},
		"a file that is a megabyte+": {map[string]string{"a.cedar": good + strings.Repeat("//\n", policy.MaxFile/3+1)}, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for file, text := range c.files {
				fsys[file] = &fstest.MapFile{Data: []byte(text)}
			}
			_, err := policy.Load(fsys)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if problems := policy.Check(fsys); len(problems) == 0 {
				t.Fatal("Check finds nothing")
			}
		})
	}
}

func TestHashChangesWithEachByteAndName(t *testing.T) {
	const rule = `@id("ok") @reason("fine") permit (principal, action, resource);`
	hash := func(name, text string) string {
		set, err := policy.Load(fstest.MapFS{name: {Data: []byte(text)}, "README.md": {Data: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		return set.Hash().String()
	}
	a, b, c := hash("a.cedar", rule), hash("a.cedar", rule+" "), hash("b.cedar", rule)
	if a == b || a == c || b == c || a != hash("a.cedar", rule) {
		t.Fatalf("hashes %s %s %s", a, b, c)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		8 * time.Hour: "8h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 45 * time.Second: "45s", time.Hour + time.Second: "1h0m1s", 10 * time.Hour: "10h",
	} {
		if got := policy.Span(d); got != want {
			t.Errorf("Span(%v) is %q, want %q", d, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(`@id("ok") @reason("fine") @approvals("2") permit (principal, action, resource);`)
	f.Add(`@id("a") @reason("b") forbid (principal is Person, action == Action::"ask", resource is Target) when { context.window > duration("1h") };`)
	f.Fuzz(func(t *testing.T, text string) {
		set, err := policy.Load(fstest.MapFS{"a.cedar": {Data: []byte(text)}})
		if err == nil {
			if v := set.Decide(ask(nil)); len(v.Reasons) == 0 {
				t.Fatalf("verdict without a reason: %+v", v)
			}
		}
	})
}
