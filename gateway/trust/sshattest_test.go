package trust_test

import (
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// What attests an SSH key is read off its statement: a row that claims it is
// not believed.
func TestAttestationOfARowIsNotBelieved(t *testing.T) {
	w := trusttest.New(t)
	b, _ := w.AddSSHKey(trusttest.Engineer)
	row := w.Store.SSHKeys[b.Fingerprint]
	row.Attested = &gateway.SSHAttested{Verdict: "unanchored", VerifyRequired: true}
	w.Store.SSHKeys[b.Fingerprint] = row
	if k, err := w.Cold(nil).SSHKey(t.Context(), b.Fingerprint); err != nil || k.Attested != nil {
		t.Errorf("%+v, %v", k.Attested, err)
	}
}
