package certs_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) (*certs.Authority, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	a, err := certs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a, dir
}

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	a, dir := open(t)
	b, err := certs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !a.MachineKey().Equal(b.MachineKey()) || !bytes.Equal(a.UserCA().Marshal(), b.UserCA().Marshal()) || !bytes.Equal(a.HostCAPublic().Marshal(), b.HostCAPublic().Marshal()) {
		t.Fatal("a second opening gave other keys")
	}
	if bytes.Equal(a.UserCA().Marshal(), a.HostCAPublic().Marshal()) {
		t.Fatal("one key signs for two purposes")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", e.Name(), info.Mode(), err)
		}
	}
	if len(entries) != 7 {
		t.Errorf("%v, want 7 files", entries)
	}
}

func TestTwoAtOnceMakeOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	keys := make([]ed25519.PrivateKey, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			a, err := certs.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = a.MachineKey()
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !k.Equal(keys[0]) {
			t.Fatal("two keys were made")
		}
	}
}

func TestWrongPermissionsAndFilesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"readable by the group": {func(t *testing.T, dir string) { must(t, os.Chmod(filepath.Join(dir, "machine"), 0o640)) }, "chmod 600"},
		"folder open to others": {func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o755)) }, "chmod 700"},
		"emptied":               {func(t *testing.T, dir string) { must(t, os.WriteFile(filepath.Join(dir, "ssh-user-ca"), nil, 0o600)) }, "PEM"},
		"two blocks": {func(t *testing.T, dir string) {
			raw, err := os.ReadFile(filepath.Join(dir, "machine"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "machine"), append(raw, raw...), 0o600))
		}, "one PEM block"},
		"a folder in its place": {func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "ssh-host")))
			must(t, os.Mkdir(filepath.Join(dir, "ssh-host"), 0o700))
		}, "regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := open(t)
			c.spoil(t, dir)
			if _, err := certs.Open(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestUserCertificate(t *testing.T) {
	a, _ := open(t)
	c, err := a.User("operator", "ses_1", noon, noon.Add(time.Hour), certs.Permits{PTY: true})
	must(t, err)
	cert := c.Certificate
	if !slices.Equal(cert.ValidPrincipals, []string{"operator"}) || cert.KeyId != "ses_1" || cert.CertType != ssh.UserCert {
		t.Fatalf("certificate %+v", cert)
	}
	if len(cert.Extensions) != 1 || len(cert.CriticalOptions) > 0 {
		t.Fatalf("permits %v %v", cert.Extensions, cert.CriticalOptions)
	}
	if got := time.Unix(int64(cert.ValidAfter), 0).UTC(); !got.Equal(noon.Add(-certs.Leeway)) {
		t.Errorf("valid from %s", got)
	}
	if got := time.Unix(int64(cert.ValidBefore), 0).UTC(); !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("valid to %s", got)
	}
	check := func(at time.Time, login string) error {
		checker := ssh.CertChecker{Clock: func() time.Time { return at }, IsUserAuthority: func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), a.UserCA().Marshal()) }}
		return checker.CheckCert(login, cert)
	}
	if err := check(noon, "operator"); err != nil {
		t.Error(err)
	}
	if check(noon, "root") == nil || check(noon.Add(time.Hour), "operator") == nil {
		t.Error("the certificate is good for another user or another time")
	}
	d, err := a.User("operator", "ses_2", noon, noon.Add(time.Hour), certs.Permits{})
	must(t, err)
	if bytes.Equal(cert.Key.Marshal(), d.Certificate.Key.Marshal()) || len(d.Certificate.Extensions) != 0 {
		t.Error("two sessions share a key, or a permit stands that was not given")
	}
}

// V-07: our own authority signs no certificate for nobody, for everybody or for
// ever.
func TestUserCertificateRefusals(t *testing.T) {
	a, _ := open(t)
	for name, c := range map[string]struct {
		login, id string
		from, to  time.Time
	}{
		"no principal": {"", "ses_1", noon, noon.Add(time.Hour)},
		"two in one":   {"a,b", "ses_1", noon, noon.Add(time.Hour)},
		"no key id":    {"op", "", noon, noon.Add(time.Hour)},
		"no time":      {"op", "ses_1", noon, noon},
		"backwards":    {"op", "ses_1", noon, noon.Add(-time.Hour)},
		"zero times":   {"op", "ses_1", time.Time{}, time.Time{}},
		"from zero":    {"op", "ses_1", time.Time{}, noon},
		"for ever":     {"op", "ses_1", time.Unix(0, 0), noon},
	} {
		if _, err := a.User(c.login, c.id, c.from, c.to, certs.Permits{}); err == nil {
			t.Errorf("%s: a certificate was made", name)
		}
	}
	long, err := a.User("op", "ses_1", noon, noon.Add(1000*time.Hour), certs.Permits{})
	must(t, err)
	if got := time.Unix(int64(long.Certificate.ValidBefore), 0); !got.Equal(noon.Add(certs.MaxUser)) {
		t.Errorf("valid to %s, want at most %s", got, certs.MaxUser)
	}
}

func TestHostSigners(t *testing.T) {
	a, _ := open(t)
	if _, err := a.HostSigners(nil); err == nil {
		t.Fatal("a host certificate without names was made")
	}
	signers, err := a.HostSigners([]string{"gw.example", "10.0.0.1"})
	must(t, err)
	checker := ssh.CertChecker{IsHostAuthority: func(k ssh.PublicKey, _ string) bool { return bytes.Equal(k.Marshal(), a.HostCAPublic().Marshal()) }}
	if err := checker.CheckHostKey("gw.example:2022", &net.TCPAddr{}, signers[0].PublicKey()); err != nil {
		t.Error(err)
	}
	if checker.CheckHostKey("evil.example:2022", &net.TCPAddr{}, signers[0].PublicKey()) == nil {
		t.Error("the certificate is good for another host")
	}
	if len(signers) != 2 || signers[1].PublicKey().Type() != ssh.KeyAlgoED25519 {
		t.Errorf("signers %v", signers)
	}
}

// a gateway that runs longer than its host certificate makes the next one
// in time; what lives keeps the one it began with.
func TestHostCertificateIsRenewed(t *testing.T) {
	a, _ := open(t)
	host := a.KeepHost([]string{"gw.example"})
	first, err := host()
	must(t, err)
	same, err := host()
	must(t, err)
	if !bytes.Equal(first[0].PublicKey().Marshal(), same[0].PublicKey().Marshal()) {
		t.Error("each connection gets a certificate of its own")
	}
	later := time.Now().Add(certs.MaxHost - certs.ExpiryWarning + time.Minute)
	a.SetNow(func() time.Time { return later })
	next, err := host()
	must(t, err)
	cert, ok := next[0].PublicKey().(*ssh.Certificate)
	if !ok || time.Unix(int64(cert.ValidBefore), 0).Before(later.Add(certs.ExpiryWarning)) {
		t.Errorf("a month before its end the certificate was not made anew")
	}
}

// A held key and a held password let us into a real SSH server.
func TestHeldCredentials(t *testing.T) {
	dir := t.TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	must(t, err)
	keyFile, wordFile := filepath.Join(dir, "key"), filepath.Join(dir, "word")
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(block), 0o600))
	must(t, os.WriteFile(wordFile, []byte("s3cret word\n"), 0o600))
	public, err := ssh.NewPublicKey(key.Public())
	must(t, err)
	for _, c := range []gateway.Account{
		{Name: "a", Login: "op", Proof: gateway.ProofKey, SecretFile: keyFile},
		{Name: "b", Login: "op", Proof: gateway.ProofPassword, SecretFile: wordFile},
	} {
		cred, err := certs.Held(gateway.KindSSH, c)
		must(t, err)
		if err := login(t, cred, public, "s3cret word"); err != nil {
			t.Errorf("by %s: %v", c.Proof, err)
		}
	}
}

func TestHeldRefusals(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		must(t, os.Chmod(path, mode))
		return path
	}
	for name, c := range map[string]gateway.Account{
		"missing":         {Login: "op", Proof: gateway.ProofKey, SecretFile: filepath.Join(dir, "none")},
		"open to others":  {Login: "op", Proof: gateway.ProofPassword, SecretFile: write("a", "hunter2", 0o644)},
		"not a key":       {Login: "op", Proof: gateway.ProofKey, SecretFile: write("b", "hunter2", 0o600)},
		"empty":           {Login: "op", Proof: gateway.ProofPassword, SecretFile: write("c", "\n", 0o600)},
		"two lines":       {Login: "op", Proof: gateway.ProofPassword, SecretFile: write("d", "hunter2\nhunter2", 0o600)},
		"by certificate":  {Login: "op", Proof: gateway.ProofCertificate, SecretFile: write("e", "hunter2", 0o600)},
		"login is a flag": {Login: "-oProxyCommand", Proof: gateway.ProofPassword, SecretFile: write("f", "hunter2", 0o600)},
		"a device":        {Login: "op", Proof: gateway.ProofPassword, SecretFile: "/dev/zero"},
	} {
		_, err := certs.Held(gateway.KindSSH, c)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		if e := gateway.AsError(err); strings.Contains(e.Sentence(), dir) {
			t.Errorf("%s: the vendor reads the path: %s", name, e.Sentence())
		}
	}
}

// login runs one SSH handshake over loopback.
func login(t *testing.T, cred certs.Credential, key ssh.PublicKey, word string) error {
	t.Helper()
	_, host, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(host)
	must(t, err)
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(k.Marshal(), key.Marshal()) {
				return nil, os.ErrPermission
			}
			return nil, nil
		},
		KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 || answers[0] != word {
				return nil, os.ErrPermission
			}
			return nil, nil
		},
	}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	a, err := listener.Accept()
	must(t, err)
	must(t, listener.Close())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { _ = b.Close() }()
	wg.Go(func() {
		_, _, _, _ = ssh.NewServerConn(a, config) // the client tells how it went
		_ = a.Close()
	})
	conn, _, _, err := ssh.NewClientConn(b, "", &ssh.ClientConfig{User: cred.Login, Auth: cred.Auth, HostKeyCallback: ssh.FixedHostKey(signer.PublicKey())})
	if err != nil {
		return err
	}
	_ = conn.Close() // the server may have been quicker
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A mark tells whether a secret is another, and nothing else.
func TestMark(t *testing.T) {
	dir := t.TempDir()
	a, err := certs.Open(dir + "/keys")
	if err != nil {
		t.Fatal(err)
	}
	other, err := certs.Open(dir + "/other")
	if err != nil {
		t.Fatal(err)
	}
	account := gateway.Account{Name: "ops", Login: "ops", Proof: gateway.ProofPassword, SecretFile: dir + "/secret"}
	mark := func(a *certs.Authority, target, secret string) string {
		t.Helper()
		if err := os.WriteFile(account.SecretFile, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := a.Held(gateway.KindSSH, account)
		if err != nil {
			t.Fatal(err)
		}
		r, err := a.Rest(target, account)
		if err != nil || r.Mark != c.Mark(target) || r.Changed.IsZero() {
			t.Fatalf("at rest it is told as %+v, %v; a session had %s", r, err, c.Mark(target))
		}
		return r.Mark
	}
	first := mark(a, "plc", "hunter2\n")
	if again := mark(a, "plc", "hunter2"); again != first {
		t.Errorf("a line end makes another secret: %s, %s", first, again)
	}
	for name, m := range map[string]string{"another secret": mark(a, "plc", "hunter3\n"), "another target": mark(a, "rtu", "hunter2\n"), "another gateway": mark(other, "plc", "hunter2\n")} {
		if m == first || m == "" {
			t.Errorf("%s has the mark %q", name, m)
		}
	}
	c, err := certs.Held(gateway.KindSSH, account)
	if err != nil || c.Mark("plc") != "" {
		t.Errorf("without a key the mark is %q, %v", c.Mark("plc"), err)
	}
	account.SecretFile = dir + "/gone"
	if _, err := a.Rest("plc", account); !gateway.IsCode(err, gateway.CodeUnavailable) || strings.Contains(gateway.AsError(err).Sentence(), dir) {
		t.Errorf("a file that is not there: %v", err)
	}
}
