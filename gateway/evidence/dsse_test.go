package evidence_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/evidence"
	"github.com/portcullis/portcullis/gateway/statement"
)

// The key of RFC 8032 clause 7.1, test 1, and the example of DSSE's
// protocol.md; the signature was made with `openssl pkeyutl -sign -rawin`.
const (
	rfcSeed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
	rfcRoot = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	helloAs = "http://example.com/HelloWorld"
	hello   = "hello world"
	signed  = "4DHX3Zn4qpBKvEj7maE8O9u9bjXEnPLLnyXVUJ2PXJR8DSLcL3QDpFvfJOj3pB/SPHsl6Jg4boxsMb6KvuYABw=="
)

func rfcKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	seed, err := hex.DecodeString(rfcSeed)
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func rfcRoots(t testing.TB) []ed25519.PublicKey {
	t.Helper()
	k, err := statement.ParseRoot(rfcRoot)
	if err != nil {
		t.Fatal(err)
	}
	return []ed25519.PublicKey{k}
}

func TestPAE(t *testing.T) {
	if got := string(evidence.PAE(helloAs, []byte(hello))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Errorf("PAE = %q", got)
	}
}

func TestEnvelopeOfAnotherMaker(t *testing.T) {
	for name, raw := range map[string]string{
		"as the standard has it": `{"payload":"aGVsbG8gd29ybGQ=","payloadType":"` + helloAs + `","signatures":[{"keyid":"","sig":"` + signed + `"}]}`,
		"URL-safe, with more":    `{"payload":"aGVsbG8gd29ybGQ=","extra":[1,{"payload":1}],"payloadType":"` + helloAs + `","signatures":[{"sig":"` + strings.NewReplacer("+", "-", "/", "_").Replace(signed) + `"}]}`,
	} {
		e, err := evidence.ParseEnvelope([]byte(raw))
		if err != nil || string(e.Payload) != hello {
			t.Errorf("%s: %+v, %v", name, e, err)
			continue
		}
		if k, err := e.SignedBy(rfcRoots(t)); err != nil || statement.FormatRoot(k) != rfcRoot {
			t.Errorf("%s: signed by %v, %v", name, k, err)
		}
	}
	own, err := evidence.Seal(rfcKey(t), helloAs, []byte(hello))
	if err != nil || !strings.Contains(string(own), signed) {
		t.Errorf("ours = %s, %v", own, err)
	}
}

func TestEnvelopeRefuses(t *testing.T) {
	whole := func(payload, sig string) string {
		return `{"payload":"` + payload + `","payloadType":"x","signatures":[{"keyid":"k","sig":"` + sig + `"}]}`
	}
	for name, c := range map[string]struct{ raw, rule string }{
		"nothing":              {``, "envelope"},
		"no JSON":              {`DSSEv1`, "envelope"},
		"an array":             {`[1]`, "envelope"},
		"no signature":         {`{"payload":"aGk=","payloadType":"x","signatures":[]}`, "envelope"},
		"no payload":           {`{"payloadType":"x","signatures":[{"sig":"aGk="}]}`, "envelope"},
		"a name twice":         {`{"payload":"aGk=","payload":"aG8=","payloadType":"x","signatures":[{"sig":"aGk="}]}`, "envelope"},
		"twice in other cases": {`{"payload":"aGk=","PayLoad":"aG8=","payloadType":"x","signatures":[{"sig":"aGk="}]}`, "envelope"},
		"twice by folding":     {`{"payload":"aGk=","payloadType":"x","signatures":[{"sig":"aGk="}],"\u017fignatures":[]}`, "envelope"},
		"something behind":     {whole("aGk=", "aGk=") + `{}`, "envelope"},
		"too deep":             {strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40), "envelope"},
		"payload no base64":    {whole("a*", "aGk="), "payload"},
		"payload loose bits":   {whole("aGl=", "aGk="), "payload"},
		"payload with a line":  {whole(`aG\nk=`, "aGk="), "payload"},
		"signature no base64":  {whole("aGk=", "*"), "signature"},
		"too many signatures":  {`{"payload":"aGk=","payloadType":"x","signatures":[` + strings.Repeat(`{"sig":"aGk="},`, 16) + `{"sig":"aGk="}]}`, "envelope"},
	} {
		_, err := evidence.ParseEnvelope([]byte(c.raw))
		if e := gateway.AsError(err); err == nil || e.Rule != c.rule {
			t.Errorf("%s: %v, wants rule %q", name, err, c.rule)
		}
	}
	if _, err := evidence.ParseEnvelope(make([]byte, evidence.MaxFile+1)); err == nil {
		t.Error("a file without end was read")
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"payload":"aGk=","payloadType":"x","signatures":[{"keyid":"k","sig":"aGk="}]}`))
	f.Add([]byte(`{"payload":"aGk=","a":[{"b":{}},null,1.5,true],"payloadType":"x","signatures":[{"sig":""}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := evidence.ParseEnvelope(raw)
		if err != nil {
			return
		}
		if e.Type == "" || len(e.Signatures) == 0 {
			t.Errorf("read %+v", e)
		}
		if _, err := e.SignedBy(rfcRoots(t)); err == nil {
			t.Errorf("%q was signed by nobody and holds", raw)
		}
	})
}
