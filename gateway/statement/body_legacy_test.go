package statement

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// A target's weak algorithms are of the closed list, stand in the sentence as
// a warning, and leave definitions without them as they were signed.
func TestLegacyAlgorithmsOfATarget(t *testing.T) {
	plain, err := Canonical(target())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(plain), "legacy") {
		t.Errorf("a definition without weak algorithms has another digest than before: %s", plain)
	}
	b := target()
	b.Legacy = gateway.LegacyAlgorithms()
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	if s := b.Sentence(); !strings.Contains(s, "WARNING: weak algorithms are allowed towards it: "+strings.Join(b.Legacy, ", ")+".") {
		t.Errorf("the sentence does not warn: %s", s)
	}
	for name, l := range map[string][]string{"strong": {"aes128-ctr"}, "none": {"none"}, "rc4": {"arcfour"}, "dsa": {"ssh-dss"}, "twice": {"ssh-rsa", "ssh-rsa"}, "empty": {""}, "all": {"*"}} {
		if b.Legacy = l; b.Check() == nil {
			t.Errorf("%s: %q was taken", name, l)
		}
	}
}
