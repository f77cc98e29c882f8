package statement_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
)

var openHere = statement.OpenNamespace("localhost")

func skKey(t testing.TB, algorithm string) *softkey.SSHKey {
	t.Helper()
	k, err := softkey.NewSSHKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func opening(t testing.TB) statement.Signed {
	t.Helper()
	st, err := statement.Draft("http://localhost:8080", "machine", time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), nil,
		&statement.VendorAdmit{Name: "acme", Title: "Acme <&> Söhne", Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := statement.Seal(st)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func touched(t testing.TB, k *softkey.SSHKey, s statement.Signed) statement.Proof {
	t.Helper()
	s, err := k.TouchSSH(s, openHere)
	if err != nil {
		t.Fatal(err)
	}
	return s.Proofs[0]
}

func TestSSHSIG(t *testing.T) {
	for _, algorithm := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
		k, s := skKey(t, algorithm), opening(t)
		k.Counter = 41
		touch, err := s.VerifySSHSIG(touched(t, k, s), k.PublicKey(), openHere)
		if err != nil || touch.Counter != 42 {
			t.Errorf("%s: %+v, %v", algorithm, touch, err)
		}
	}
}

// V-28: presence and verification are looked at in the signature itself.
func TestSSHSIGThatDoesNotHold(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey)
		says string
	}{
		{"no presence", func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey) {
			k.Flags = 4
			return touched(t, k, *s), k.PublicKey()
		}, "not touched"},
		{"no verification", func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey) {
			k.Flags = 1
			return touched(t, k, *s), k.PublicKey()
		}, "did not verify its user"},
		{"a key that can be copied", func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey) {
			k.Flags = 0x0d
			return touched(t, k, *s), k.PublicKey()
		}, "flags 0x0d"},
		{"another statement", func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey) {
			p := touched(t, k, *s)
			s.Bytes = append(bytes.Clone(s.Bytes), ' ')
			return p, k.PublicKey()
		}, "this very statement"},
		{"another key", func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey) {
			p, other := touched(t, k, *s), skKey(t, ssh.KeyAlgoSKED25519).PublicKey()
			p.Key = ssh.FingerprintSHA256(other)
			return p, other
		}, "by another key"},
		{"a proof filed under another key", func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey) {
			p := touched(t, k, *s)
			p.Key = "SHA256:x"
			return p, k.PublicKey()
		}, "not a signature by this SSH key"},
		{"a site's credential", func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey) {
			k.Application = "localhost"
			return touched(t, k, *s), k.PublicKey()
		}, "not for SSH"},
		{"flags changed afterwards", func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey) {
			k.Flags = 1
			p := touched(t, k, *s)
			raw := blobOf(t, p.Signature)
			raw[len(raw)-5] = 5
			p.Signature = softkey.Armour(raw)
			return p, k.PublicKey()
		}, "this very statement"},
		{"counter changed afterwards", func(k *softkey.SSHKey, s *statement.Signed) (statement.Proof, ssh.PublicKey) {
			p := touched(t, k, *s)
			raw := blobOf(t, p.Signature)
			raw[len(raw)-1]++
			p.Signature = softkey.Armour(raw)
			return p, k.PublicKey()
		}, "this very statement"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := opening(t)
			p, key := c.do(skKey(t, ssh.KeyAlgoSKED25519), &s)
			if _, err := s.VerifySSHSIG(p, key, openHere); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %q", err, c.says)
			}
		})
	}
	k, s := skKey(t, ssh.KeyAlgoSKED25519), opening(t)
	if _, err := s.VerifySSHSIG(touched(t, k, s), k.PublicKey(), statement.OpenNamespace("other.example")); err == nil || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("another namespace: %v", err)
	}
}

// A plain key signs SSHSIGs too; nobody can tell that it was touched.
func TestSSHSIGByAPlainKeyOfSSHKeygen(t *testing.T) {
	file, s := filepath.Join(t.TempDir(), "id"), opening(t)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sign := exec.Command("ssh-keygen", "-q", "-Y", "sign", "-n", openHere, "-f", file)
	sign.Stdin = bytes.NewReader(s.Bytes)
	sig, err := sign.Output()
	if err != nil {
		t.Fatal(err)
	}
	line, err := exec.Command("ssh-keygen", "-y", "-f", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.VerifySSHSIG(statement.Proof{Kind: statement.SSHSIG, Key: ssh.FingerprintSHA256(key), Signature: sig}, key, openHere)
	if err == nil || !strings.Contains(err.Error(), "no security key") {
		t.Errorf("%v", err)
	}
}

// fields is an SSHSIG that a test may write as it likes.
type fields struct {
	Magic     [6]byte
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

func TestSSHSIGIsReadToItsLastByte(t *testing.T) {
	k, s := skKey(t, ssh.KeyAlgoSKED25519), opening(t)
	good := touched(t, k, s)
	var f fields
	if err := ssh.Unmarshal(blobOf(t, good.Signature), &f); err != nil {
		t.Fatal(err)
	}
	edited := func(edit func(f *fields)) []byte {
		f := f
		edit(&f)
		return softkey.Armour(ssh.Marshal(f))
	}
	text := string(good.Signature)
	for name, c := range map[string]struct {
		sig  []byte
		says string
	}{
		"another magic":           {edited(func(f *fields) { f.Magic[0] = 's' }), "does not begin"},
		"version 2":               {edited(func(f *fields) { f.Version = 2 }), "version 2"},
		"version 0":               {edited(func(f *fields) { f.Version = 0 }), "version 0"},
		"no namespace":            {edited(func(f *fields) { f.Namespace = "" }), "no namespace"},
		"something reserved":      {edited(func(f *fields) { f.Reserved = "x" }), "reserves"},
		"hash sha1":               {edited(func(f *fields) { f.Hash = "sha1" }), "sha1"},
		"hash of another name":    {edited(func(f *fields) { f.Hash = "sha256" }), "this very statement"},
		"another key in it":       {edited(func(f *fields) { f.PublicKey = skKey(t, ssh.KeyAlgoSKED25519).PublicKey().Marshal() }), "by another key"},
		"a byte after the sk":     {edited(func(f *fields) { f.Signature = append(bytes.Clone(f.Signature), 0) }), "security key"},
		"no flags and counter":    {edited(func(f *fields) { f.Signature = f.Signature[:len(f.Signature)-5] }), "security key"},
		"a byte after the SSHSIG": {softkey.Armour(append(blobOf(t, good.Signature), 0)), "SSHSIG format"},
		"cut short":               {softkey.Armour(blobOf(t, good.Signature)[:60]), "SSHSIG format"},
		"nothing":                 {nil, "not the file"},
		"no begin":                {[]byte(text[1:]), "not the file"},
		"no end":                  {[]byte(strings.TrimSuffix(text, "-\n")), "not the file"},
		"two of them":             {[]byte(text + text), "not the file"},
		"text before":             {[]byte("x\n" + text), "not the file"},
		"text after":              {[]byte(text + "x"), "not the file"},
		"two line ends":           {[]byte(text + "\n"), "not the file"},
		"carriage returns":        {[]byte(strings.ReplaceAll(text, "\n", "\r\n")), "not the file"},
		"an empty line":           {[]byte(strings.Replace(text, "\n", "\n\n", 1)), "not the file"},
		"a blank in a line":       {[]byte(strings.Replace(text, "U1NIU0lH", "U1NI U0lH", 1)), "not the file"},
		"one long line":           {[]byte("-----BEGIN SSH SIGNATURE-----\n" + base64.StdEncoding.EncodeToString(blobOf(t, good.Signature)) + "\n-----END SSH SIGNATURE-----\n"), "not the file"},
		"a PEM header":            {pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Headers: map[string]string{"X": "y"}, Bytes: blobOf(t, good.Signature)}), "not the file"},
		"too long":                {bytes.Repeat([]byte("A"), statement.MaxSSHSIG+1), "at most 4096"},
	} {
		p := good
		p.Signature = c.sig
		if _, err := s.VerifySSHSIG(p, k.PublicKey(), openHere); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
	// Other programs wrap at 64 or 76, and leave the last line end out.
	p := good
	p.Signature = bytes.TrimSuffix(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blobOf(t, good.Signature)}), []byte("\n"))
	if _, err := s.VerifySSHSIG(p, k.PublicKey(), openHere); err != nil {
		t.Errorf("wrapped at 64: %v", err)
	}
}

func blobOf(t testing.TB, armoured []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(armoured)
	if block == nil {
		t.Fatalf("no armour in %q", armoured)
	}
	return block.Bytes
}

// FuzzSSHSIG holds the parser to one thing beside not falling over: what is
// taken is the signature that the key made, byte for byte under its armour.
func FuzzSSHSIG(f *testing.F) {
	k, s := skKey(f, ssh.KeyAlgoSKED25519), opening(f)
	good := touched(f, k, s)
	f.Add(good.Signature)
	f.Add([]byte("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"))
	f.Add([]byte("-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----"))
	f.Fuzz(func(t *testing.T, armoured []byte) {
		p := good
		p.Signature = armoured
		if _, err := s.VerifySSHSIG(p, k.PublicKey(), openHere); err == nil && !gateway.DigestOf(blobOf(t, armoured)).Equal(gateway.DigestOf(blobOf(t, good.Signature))) {
			t.Errorf("taken, and not what was signed: %q", armoured)
		}
	})
}
