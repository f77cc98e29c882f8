package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// index is what the recording tells of a session, as far as the stories read
// it.
type index struct {
	Channels []indexChannel `json:"channels"`
	Files    []indexFile    `json:"files"`
	Flows    []indexFlow    `json:"flows"`
}

type indexChannel struct {
	Channel uint32  `json:"channel"`
	Kind    string  `json:"kind"`
	Command string  `json:"command"`
	Status  *uint32 `json:"status"`
}

type indexFile struct {
	Channel uint32 `json:"channel"`
	Op      string `json:"op"`
	Path    string `json:"path"`
	SHA256  string `json:"sha256"`
	Whole   bool   `json:"whole"`
	Verdict string `json:"verdict"`
	Why     string `json:"why"`
}

type indexFlow struct {
	To        string `json:"to"`
	SHA256In  string `json:"sha256_in"`
	SHA256Out string `json:"sha256_out"`
	Ended     bool   `json:"ended"`
}

func (s *story) index(session string) index {
	s.Helper()
	var ix index
	s.must(s.Machine().Get(s.ctx, "/api/v1/recordings/"+session+"/index", &ix))
	return ix
}

// carry plays one of the row's lines and holds the outcome against what lies
// in local.
func (r *row) carry(line string, up bool) {
	r.T.Helper()
	before := r.newest()
	if up || r.blind {
		r.noError(r.Ticket(r.ctx, "ana", r.grant))
	}
	r.play(line)
	at := r.back
	if up {
		at = r.remote
	}
	if !up || !r.packs {
		r.same(at)
	}
	all := r.sessions()
	n := slices.IndexFunc(all, func(x session) bool { return x.ID == before })
	if before == "" {
		n = len(all)
	}
	if n != 1 {
		r.T.Fatalf("%d sessions instead of one", n)
	}
	r.ended(all[0].ID)
	ix := r.index(all[0].ID)
	r.tells(ix, all[0].ID, up)
	if r.T.Failed() {
		r.T.Logf("up %t: the index: %+v", up, ix)
	}
}

func (r *row) newest() string {
	if all := r.sessions(); len(all) > 0 {
		return all[0].ID
	}
	return ""
}

// names are the files that the row carries.
func (r *row) names() []string {
	if r.one {
		return []string{"big.bin"}
	}
	var all []string
	for name := range r.sums {
		all = append(all, name)
	}
	return all
}

// same fails unless the files in a folder are those of local.
func (r *row) same(dir string) {
	r.T.Helper()
	for _, name := range r.names() {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || sum(b) != r.sums[name] {
			r.T.Errorf("%s: %v, %d bytes that are not those of local", filepath.Join(dir, name), err, len(b))
		}
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// tells fails unless the index accounts for the row's files.
func (r *row) tells(ix index, session string, up bool) {
	r.T.Helper()
	for _, kind := range r.kinds {
		if !slices.ContainsFunc(ix.Channels, func(c indexChannel) bool { return c.Kind == kind }) {
			r.T.Errorf("no channel is told of as %s", kind)
		}
	}
	for _, c := range ix.Channels {
		if !slices.Contains(r.kinds, c.Kind) {
			r.T.Errorf("a channel is told of as %s: %s", c.Kind, c.Command)
		}
	}
	switch r.kinds[0] {
	case "sftp", "scp":
		r.tellsFiles(ix, up)
	case "rsync", "git":
		r.tellsStream(ix, session, up)
	case "exec":
		if got := r.recorded(session, ix.Channels[0].Channel, up); got != r.sums["big.bin"] {
			r.T.Errorf("up %t: what was recorded is not the file", up)
		}
	case "forward":
		in, out := r.http.last()
		if len(ix.Flows) != 1 || ix.Flows[0].To != r.http.addr || ix.Flows[0].SHA256In != in || ix.Flows[0].SHA256Out != out || !ix.Flows[0].Ended {
			r.T.Errorf("the flow is not told of as it was: in %s, out %s", in, out)
		}
	}
}

// tellsFiles: each file as one whole operation with sha256sum's digest.
func (r *row) tellsFiles(ix index, up bool) {
	r.T.Helper()
	op := "read"
	if up {
		op = "write"
	}
	for _, name := range r.names() {
		if !slices.ContainsFunc(ix.Files, func(f indexFile) bool {
			return f.Op == op && f.SHA256 == r.sums[name] && f.Whole && f.Verdict == "done" && (r.moves || filepath.Base(f.Path) == name)
		}) {
			r.T.Errorf("the index does not tell of %s %s with %s", op, name, r.sums[name])
		}
	}
}

// tellsStream: of a protocol that is not read, the digest of its bytes, which
// are on file.
func (r *row) tellsStream(ix index, session string, up bool) {
	r.T.Helper()
	for _, f := range ix.Files {
		if f.Verdict != "done" || f.Why == "" || f.SHA256 != r.recorded(session, f.Channel, up) {
			r.T.Errorf("the stream's digest is not that of its bytes on file: %+v", f)
		}
	}
	if len(ix.Files) == 0 {
		r.T.Error("no stream is told of")
	}
}

// recorded is the digest of what the engineer sent on a channel (up) or was
// sent.
func (r *row) recorded(session string, channel uint32, up bool) string {
	r.T.Helper()
	format := "stdout"
	if up {
		format = "stdin"
	}
	got, err := r.CLI(r.ctx, "recording", "export", session, "--format", format, "--channel", fmt.Sprint(channel))
	r.noError(err)
	if got.Status != 0 {
		r.T.Fatalf("export: %s", got.Err)
	}
	return sum([]byte(got.Out))
}
