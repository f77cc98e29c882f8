package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// handed is what comes back from whoever took an order.
type handed struct {
	ID     string `json:"id"`
	By     string `json:"by"`
	Epoch  uint64 `json:"epoch"`
	Report struct {
		Verdict string `json:"verdict"`
		Note    string `json:"note"`
	} `json:"report"`
}

// TestP4SignedOrder: a responder signs ahead, in the browser and with an SSH
// security key, and what he signed is taken from hands that sign in nowhere:
// once, by socket with the web down, by HTTP and by a folder.
func TestP4SignedOrder(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	params := map[string]any{"scope": map[string]string{"kind": "vendor", "name": rig.Acme}, "reason": "breach news", "valid": 30 * 86400}
	var filed struct {
		ID string `json:"id"`
	}
	s.must(s.People["ben"].Act(s.ctx, "order", params, &filed))
	var raw string
	s.must(s.People["ben"].Get(s.ctx, "/api/v1/orders/"+filed.ID+"/file", &raw))
	dir := t.TempDir()
	file := filepath.Join(dir, "order.json")
	s.must(os.WriteFile(file, []byte(raw), 0o600))

	t.Run("refusals look alike", func(t *testing.T) {
		alike := ""
		for name, bad := range map[string]string{
			"forged": strings.Replace(raw, `"signature":"M`, `"signature":"N`, 1), "another's scope": strings.Replace(raw, "acme", "acmf", 2), "nothing": "{}",
		} {
			status, body := s.bearer(http.MethodPost, "/orders", "", bad)
			if status != http.StatusForbidden || alike != "" && body != alike {
				t.Errorf("%s: %d %s", name, status, body)
			}
			alike = body
		}
	})

	s.must(s.WebOff())
	var got handed
	s.must(s.JSON(s.ctx, &got, "order", "submit", file))
	if got.Report.Verdict != "PASS" || got.By != "ben" || got.Epoch != 2 {
		t.Fatalf("at the socket, with the web down: %+v", got)
	}
	var again handed
	s.must(s.JSON(s.ctx, &again, "order", "submit", file))
	if again.ID != got.ID || again.Epoch != 2 {
		t.Errorf("handed in again: %+v", again)
	}
	s.told("order.used", "breach news")
}

// TestP4OrderBySSHKey: no browser signs it, and no login hands it in.
func TestP4OrderBySSHKey(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	a := s.skOf("ben")
	file := filepath.Join(t.TempDir(), "order.json")
	cmd := exec.CommandContext(s.ctx, built, "order", "suspend", "vendor", rig.Acme, "--reason", "breach news", "--server", s.URL, "--key", a.Public, "--out", file)
	cmd.Env = a.Env()
	if status, out, errOut := output(t, cmd); status != 0 {
		t.Fatalf("%d %s %s", status, out, errOut)
	}
	raw, err := os.ReadFile(file)
	s.must(err)
	s.must(os.WriteFile(filepath.Join(s.Data, "orders", "drop.json"), raw, 0o600))
	why := filepath.Join(s.Data, "orders", "done", "drop.json.why")
	s.must(rig.Until(s.ctx, 20*time.Second, func() error { _, err := os.Stat(why); return err }))
	status, body := s.bearer(http.MethodPost, "/orders", "", string(raw))
	var got handed
	s.must(json.Unmarshal([]byte(body), &got))
	if status != http.StatusOK || got.By != "ben" || got.Epoch != 2 {
		t.Errorf("handed in again by HTTP: %d %s", status, body)
	}
	if strings.Contains(body, `"nodes":[{`) {
		t.Error("who brings a file is told who was live")
	}
}

// TestP4Token: a token orders its suspension, reads that one's report, and is
// useless on every other route that the gateway describes.
func TestP4Token(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	res, err := s.CLI(s.ctx, "token", "create", "--suspend-only", "--name", "soar", "--scope", "vendor:"+rig.Acme)
	s.must(err)
	token := strings.TrimSpace(res.Out)
	file := filepath.Join(t.TempDir(), "token")
	s.must(os.WriteFile(file, []byte(token+"\n"), 0o600))

	cmd := exec.CommandContext(s.ctx, built, "suspend", "vendor", rig.Acme, "--reason", "alert 4711", "--server", s.URL, "--token-file", file, "--json")
	status, out, errOut := output(t, cmd)
	var got handed
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != 0 || got.By != "token soar" || got.Report.Verdict != "PASS" {
		t.Fatalf("%d %s %s", status, out, errOut)
	}
	if status, body := s.bearer(http.MethodGet, "/suspensions/"+got.ID, token, ""); status != http.StatusOK {
		t.Errorf("its own report: %d %s", status, body)
	}
	other := s.suspend("vendor", rig.Acme, "by hand")
	if status, body := s.bearer(http.MethodGet, "/suspensions/"+other.ID, token, ""); status != http.StatusNotFound {
		t.Errorf("another's report: %d %s", status, body)
	}
	if status, body := s.bearer(http.MethodPost, "/suspensions", token, `{"scope":{"kind":"all","name":"vendors"},"reason":"r"}`); status != http.StatusForbidden {
		t.Errorf("another scope: %d %s", status, body)
	}

	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	_, body := s.bearer(http.MethodGet, "/openapi.json", "", "")
	s.must(json.Unmarshal([]byte(body), &doc))
	walked := 0
	for path, methods := range doc.Paths {
		for method := range methods {
			path := strings.NewReplacer("{id}", "ses_0", "{name}", rig.Acme, "{channel}", "0", "{sha256}", "00").Replace(strings.TrimPrefix(path, "/api/v1"))
			if path == "/suspensions" && method == "post" {
				continue
			}
			walked++
			var status int
			var body string
			s.must(rig.Until(s.ctx, 30*time.Second, func() error {
				if status, body = s.bearer(strings.ToUpper(method), path, token, "{}"); status == http.StatusTooManyRequests {
					return io.ErrNoProgress
				}
				return nil
			}))
			if status < 400 || status >= 500 {
				t.Errorf("the token at %s %s: %d %s", method, path, status, body)
			}
		}
	}
	if walked < 40 {
		t.Errorf("walked %d routes alone", walked)
	}
}

// bearer calls a route as nobody, with a token where there is one.
func (s *story) bearer(method, path, token, body string) (int, string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/v1"+path, strings.NewReader(body))
	s.must(err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	s.must(err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	s.must(err)
	return res.StatusCode, string(raw)
}
