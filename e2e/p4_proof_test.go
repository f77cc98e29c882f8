package e2e

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestP4Proof: a vendor with a live shell is suspended, and the proof of it is
// a file that is verified without the gateway; a flipped byte is seen.
func TestP4Proof(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	s.grant("ana", "pump", time.Hour)
	shell := s.shell("ana", "pump")
	order := s.suspend("vendor", rig.Acme, "breach notice of 06:12")
	if _, err := shell.Wait(5 * time.Second); err != nil {
		t.Errorf("the shell outlived the report: %v", err)
	}
	if status, out, _ := s.ssh("ana", "pump", "echo back"); status == 0 || out != "" {
		t.Fatalf("back in: %q", out)
	}

	dir, err := s.Scratch("proof")
	s.must(err)
	file := filepath.Join(dir, "proof.dsse.json")
	r, err := s.CLI(s.ctx, "suspension", "show", order.ID, "--wait", "--dsse", file)
	s.must(err)
	if r.Status != 0 {
		t.Fatalf("suspension show: %d %s\n%s", r.Status, r.Err, r.Out)
	}
	says(t, "the proof", r.Out, "PASS", "ssh-key", "grant-row", "clock-back", "old-restoration", "not tried", "Turned away since", "session.refused")

	// What the standard's own readers read.
	raw, err := os.ReadFile(file)
	s.must(err)
	var envelope struct {
		PayloadType string `json:"payloadType"`
		Payload     string `json:"payload"`
		Signatures  []struct {
			KeyID string `json:"keyid"`
		} `json:"signatures"`
	}
	s.must(json.Unmarshal(raw, &envelope))
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	s.must(err)
	if envelope.PayloadType != "application/vnd.in-toto+json" || len(envelope.Signatures) != 1 || !strings.Contains(string(payload), `"_type":"https://in-toto.io/Statement/v1"`) {
		t.Errorf("the envelope: %.200s", raw)
	}

	// Verified with the gateway away, by the roots of its configuration and by
	// the one root named.
	s.Kill()
	root := envelope.Signatures[0].KeyID
	for _, args := range [][]string{{"verify", file}, {"verify", file, "--root", root}} {
		r, err := s.CLI(s.ctx, args...)
		s.must(err)
		if r.Status != 0 {
			t.Fatalf("%q: %d %s", args, r.Status, r.Err)
		}
		says(t, "what was verified", r.Out, "The file holds", "PASS", order.ID)
	}
	payload[len(payload)/2] ^= 1
	bad := filepath.Join(dir, "bad.json")
	s.must(os.WriteFile(bad, []byte(strings.Replace(string(raw), envelope.Payload, base64.StdEncoding.EncodeToString(payload), 1)), 0o600))
	other := filepath.Join(dir, "other.json")
	s.must(os.WriteFile(other, []byte(`{"format":"portcullis order"}`), 0o600))
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"a flipped byte": {[]string{"verify", bad}, "signature"},
		"another kind":   {[]string{"verify", other}, "envelope"},
		"another root":   {[]string{"verify", file, "--root", "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}, "none of the roots"},
	} {
		r, err := s.CLI(s.ctx, c.args...)
		s.must(err)
		if r.Status != 1 {
			t.Errorf("%s: exit status %d", name, r.Status)
		}
		says(t, name, r.Err, c.says)
	}
	s.must(s.Start(s.ctx))
}
