package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// token signs one, as any JWT library would (RFC 7519, RFC 8037).
func token(key ed25519.PrivateKey, aud string) string {
	part := func(v any) string {
		raw, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	text := part(map[string]string{"alg": "EdDSA", "typ": "JWT"}) + "." + part(map[string]any{"iss": "nightly", "aud": aud, "exp": time.Now().Add(time.Minute).Unix(), "jti": fmt.Sprintf("%x", id)})
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

// P1 to P5: a vendor's machine reaches a console under a grant that two agreed
// to, on the record, and no longer once it is suspended.
func TestServiceAccount(t *testing.T) {
	t.Parallel()
	s := newConsoleStory(t)
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	der, err := x509.MarshalPKIXPublicKey(pub)
	s.must(err)
	text := strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "\n", "\n      ")
	file := filepath.Join(t.TempDir(), "services.yaml")
	s.must(os.WriteFile(file, []byte("services:\n  - name: nightly\n    title: Nightly pull\n    vendor: acme\n    owner: ana\n    key: |\n      "+text+"\n"), 0o600))
	var changes json.RawMessage
	s.must(s.JSON(s.ctx, &changes, "apply", "-f", file))
	var list struct {
		Items []struct{ Name string } `json:"items"`
	}
	s.must(s.JSON(s.ctx, &list, "services"))
	if len(list.Items) != 1 || list.Items[0].Name != "nightly" {
		t.Errorf("services: %+v", list)
	}

	base := strings.Replace(s.URL, "localhost", "svc-pump-web.localhost", 1)
	b, err := s.NewBrowser()
	s.must(err)
	get := func(bearer string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, base+"/", nil)
		s.must(err)
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		res, err := b.Do(r)
		s.must(err)
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		s.must(err)
		return res.StatusCode, string(raw)
	}
	if code, body := get(token(key, base)); code != http.StatusForbidden || !strings.Contains(body, "no-grant") {
		t.Fatalf("P1: without a grant: %d %s", code, body)
	}
	var r rig.Request
	s.must(s.People["ana"].Post(s.ctx, "/api/v1/requests", map[string]any{
		"service": "nightly", "target": "pump-web", "account": "ops", "seconds": 20 * 24 * 3600, "reason": "nightly pull of trends",
		"abilities": []string{"GET", "path /", "rate 5", "volume-in 1000000", "volume-out 1000000"},
	}, &r))
	s.must(s.Approve(s.ctx, "ben", r.ID))
	if code, body := get(token(key, base)); code != http.StatusForbidden {
		t.Fatalf("P2: with one of two approvals: %d %s", code, body)
	}
	s.must(s.Approve(s.ctx, "cleo", r.ID))
	used := token(key, base)
	if code, body := get(used); code != http.StatusOK || !strings.Contains(body, "Pump 7") {
		t.Fatalf("under its grant: %d %s", code, body)
	}
	if code, body := get(used); code != http.StatusUnauthorized || !strings.Contains(body, "token-once") {
		t.Errorf("P2: a token twice: %d %s", code, body)
	}
	if code, body := get(""); code != http.StatusUnauthorized || !strings.Contains(body, "service-account") {
		t.Errorf("P1: without a token: %d %s", code, body)
	}
	for _, seen := range s.console.Seen() {
		if strings.Contains(seen.Header.Get("Authorization"), "Bearer") {
			t.Error("P7: the console was shown the token")
		}
	}
	live := s.sessions()
	if len(live) != 1 || live[0].State != "live" {
		t.Fatalf("sessions: %+v", live)
	}

	s.suspend("vendor", "acme", "breach")
	s.ended(live[0].ID)
	if code, body := get(token(key, base)); code != http.StatusForbidden || !strings.Contains(body, "suspended") {
		t.Errorf("P4: suspended: %d %s", code, body)
	}
	db, err := sql.Open("sqlite", "file:"+s.Store()+"?_pragma=busy_timeout(10000)")
	if err == nil {
		_, err = db.Exec("UPDATE vendors SET state = 'active' WHERE name = 'acme'; UPDATE people SET state = 'active' WHERE name = 'nightly'; UPDATE grants SET state = 'open', closed = 0, closed_by = '', why = '' WHERE person = 'nightly'")
		_ = db.Close()
	}
	s.must(err)
	if code, body := get(token(key, base)); code != http.StatusForbidden {
		t.Errorf("P5: with an edited store: %d %s", code, body)
	}
}
