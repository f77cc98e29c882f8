package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/secrets"
)

func TestReadSince(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"45d": now.AddDate(0, 0, -45), "12h": now.Add(-12 * time.Hour), "2026-11-01": time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "2026-11-01T10:00:00Z": time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC),
		"": {}, "d": {}, "-3d": {}, "-3h": {}, "yesterday": {}, "99999d": {},
	} {
		got, err := readSince(text, now)
		if !got.Equal(want) || (err != nil) != want.IsZero() {
			t.Errorf("since %q: %v, %v; want %v", text, got, err, want)
		}
	}
}

// The work-list says of each what it is, what to do, and why; a name from
// outside cannot move the cursor.
func TestWorkListWords(t *testing.T) {
	at := time.Date(2026, 11, 1, 6, 12, 0, 0, time.UTC)
	var out, errOut bytes.Buffer
	err := printWorkList(&run{out: &out, errOut: &errOut}, secrets.WorkList{
		Scope: &gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Open: 1, Done: 2,
		List: secrets.List{Since: at, Cut: at, Items: []secrets.Secret{{
			Target: "hmi", Account: "admin", Proof: gateway.ProofPassword, Owner: "olga\x1b[2J", Changed: at, Age: 72 * time.Hour, Sessions: 3, Work: secrets.WorkOpen, Next: "set another one",
			Exposures: []secrets.Exposure{{Session: "ses_1", Vendor: "acme", Person: "ana", From: at}}, Rotated: &secrets.Rotation{By: "root", Changed: at},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Sessions of vendor acme since 2026-11-01 06:12:00Z: 1 to rotate, 2 done.", `OPEN  hmi admin  password, owner olga\u001b[2J, file 3d old, last rotated 2026-11-01 06:12:00Z, says root`,
		"  set another one\n", "  ses_1  ana of acme  2026-11-01 06:12:00Z to now", "and 2 sessions before",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	if !strings.Contains(errOut.String(), "too many sessions") {
		t.Errorf("what was not looked at is not said: %q", errOut.String())
	}
}
