package audit

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway"
)

var noon = time.Date(2026, 4, 14, 12, 0, 0, 123456000, time.UTC)

func full(name Name) Event {
	return Event{
		Name: name, At: noon, Actor: "ana", Vendor: "acme", Person: "ben", Target: "relay-7", Account: "svc", Request: "req_1", Grant: "grt_1",
		Session: "ses_1", Suspension: "sus_1", Source: "192.0.2.7:4022", Statement: gateway.DigestOf([]byte("x")), Outcome: Refused,
		Reason: "the window is \"over\" <b>\u2028 & näh", Rule: "window", Detail: map[string]string{"command": "rm -rf /\n"},
	}
}

func TestEveryNameReadsBackAsItWasWritten(t *testing.T) {
	for name := range faces {
		want := full(name)
		body, err := Encode(want, 17)
		if err != nil {
			t.Fatal(err)
		}
		got, seq, err := parse(body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || seq != 17 {
			t.Errorf("%s as entry %d: %s", name, seq, diff)
		}
	}
}

// TestOCSFRequiredMembers holds each class to the members that OCSF requires
// of it.
func TestOCSFRequiredMembers(t *testing.T) {
	base := "activity_id category_uid class_uid metadata severity_id time type_uid"
	required := map[class]string{
		classFinding: "finding_info", classAuth: "user", classAuthorize: "user privileges", classEntity: "entity", classUser: "user",
		classSSH: "src_endpoint dst_endpoint", classLifecycle: "app", classFile: "actor file src_endpoint", classRemedy: "command_uid",
	}
	for name, f := range faces {
		body, err := Encode(full(name), 3)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		for _, member := range strings.Fields(base + " " + required[f.class]) {
			if _, ok := m[member]; !ok {
				t.Errorf("%s (class %d) has no %s", name, f.class, member)
			}
		}
		if m["time"] != float64(noon.UnixMilli()) || m["type_uid"] != float64(int(f.class)*100+f.activity) {
			t.Errorf("%s: time %v, type_uid %v", name, m["time"], m["type_uid"])
		}
	}
}

func TestWhatCannotBeToldIsRefused(t *testing.T) {
	many := map[string]string{}
	for i := range maxDetail + 1 {
		many[strings.Repeat("k", i+1)] = "v"
	}
	big := map[string]string{}
	for i := range maxDetail {
		big[strings.Repeat("k", i+1)] = strings.Repeat("v", maxField)
	}
	for what, e := range map[string]Event{
		"unknown name":    {Name: "vendor.exploded", At: noon},
		"unknown outcome": {Name: GrantMade, At: noon, Outcome: "maybe"},
		"no time":         {Name: GrantMade},
		"many details":    {Name: GrantMade, At: noon, Detail: many},
		"too big":         {Name: GrantMade, At: noon, Detail: big},
	} {
		if body, err := Encode(e, 0); err == nil {
			t.Errorf("%s: encoded as %d bytes", what, len(body))
		}
	}
}

func TestLongAndBrokenTextIsCutNotRefused(t *testing.T) {
	body, err := Encode(Event{Name: LoginRefused, At: noon, Actor: "\xff\xfe", Reason: strings.Repeat("ä", maxField)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseEntry(body)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Reason) > maxField+len("…") || !strings.HasSuffix(e.Reason, "ä…") || e.Actor != "\ufffd" {
		t.Errorf("actor %q, reason of %d bytes ending in %q", e.Actor, len(e.Reason), e.Reason[len(e.Reason)-6:])
	}
}

func FuzzParseEntry(f *testing.F) {
	for name := range faces {
		body, err := Encode(full(name), 5)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"metadata":{"sequence":-1},"unmapped":{"portcullis":null}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, seq, err := parse(body)
		if err != nil {
			return
		}
		again, err := Encode(e, seq)
		if err != nil {
			// Cutting and escaping can make a text longer, so only the size
			// may stand in the way of writing what was read.
			if len(body) < MaxBody/8 {
				t.Fatalf("read, but cannot be written: %v", err)
			}
			return
		}
		e2, seq2, err := parse(again)
		if err != nil || seq2 != seq || cmp.Diff(e, e2) != "" {
			t.Fatalf("reads back differently: %v %s", err, cmp.Diff(e, e2))
		}
	})
}
