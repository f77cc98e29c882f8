package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// wayRound is a shell line that a grant does not cover. It fails, what it
// would have left or shown is not there, and says is both what its client
// shows and what the log holds.
type wayRound struct {
	name string
	line string
	says string
}

// fileOp before the word of a refusal is one within a transfer: most clients
// show their own words for it; ours stand in the log and the recording's index.
const fileOp = "file: "

// Words in braces as in the interop table; {mark} is a file that nobody may
// make, {secret} one that nobody may read.
var waysRound = []struct {
	abilities []string
	works     string // what the grant is for goes on
	ways      []wayRound
}{
	{[]string{"shell"}, "", []wayRound{
		{"a command", "ssh -F {config} -T pump 'touch {mark}'", "no exec"},
		{"a command on a terminal", "ssh -F {config} -tt pump 'touch {mark}'", "no exec"},
		{"scp", "scp -q -F {config} {local}/one pump:{mark}", "upload"},
		{"scp -O", "scp -q -O -F {config} {local}/one pump:{mark}", "upload"},
		{"sftp", "echo 'get {secret} {back}/got' | sftp -F {config} -b - pump", "download"},
		{"rsync", "rsync -e 'ssh -F {config}' {local}/one pump:{mark}", "upload"},
		{"-W", "ssh -F {config} -W {http} pump < /dev/null", "forward"},
		{"another subsystem", "ssh -F {config} -s pump netconf < /dev/null", "subsystem"},
	}},
	{[]string{"exec"}, "ssh -F {config} -T pump 'echo in'", []wayRound{
		{"a shell", "ssh -F {config} -tt pump < /dev/null", "no shell"},
		{"a shell without a terminal", "echo 'touch {mark}' | ssh -F {config} -T pump", "no shell"},
		{"scp", "scp -q -F {config} {local}/one pump:{mark}", "upload"},
		{"scp -O", "scp -q -O -F {config} {local}/one pump:{mark}", "upload"},
		{"sftp", "echo 'get {secret} {back}/got' | sftp -F {config} -b - pump", "download"},
		{"sftp by its server", "echo 'get {secret} {back}/got' | sftp -s /usr/lib/openssh/sftp-server -F {config} -b - pump", "download"},
		{"rsync down", "rsync -e 'ssh -F {config}' pump:{secret} {back}/got", "download"},
		{"git", "GIT_SSH_COMMAND='ssh -F {config}' git clone -q pump:{secret} {back}/got", "download"},
		{"pscp", "pscp {putty} -q {local}/one {user}@{host}:{mark}", "upload"},
		{"-L", "ssh -F {config} -N -L {port}:{http} pump & at=$!; curl -sf --retry 30 --retry-delay 1 --retry-connrefused -T {local}/one http://127.0.0.1:{port}{mark}; got=$?; kill $at; wait; exit $got", "forward"},
		{"-D", "ssh -F {config} -N -D {port} pump & at=$!; curl -sf --retry 30 --retry-delay 1 --retry-connrefused --socks5 127.0.0.1:{port} -T {local}/one http://{http}{mark}; got=$?; kill $at; wait; exit $got", "forward"},
		{"-R", "ssh -F {config} -o ExitOnForwardFailure=yes -T -R 0:{http} pump 'touch {mark}'", "forward"},
		{"-R of a socket", "ssh -F {config} -o ExitOnForwardFailure=yes -T -R {mark}:{http} pump 'touch {mark}'", "forward"},
		{"-w", "ssh -F {config} -o ExitOnForwardFailure=yes -o Tunnel=ethernet -w 0:0 -N pump", "tun"},
		{"an agent", "eval $(ssh-agent) >/dev/null; ssh -A -F {config} -o IdentityAgent=SSH_AUTH_SOCK -T pump 'test -n \"$SSH_AUTH_SOCK\" && touch {mark}'; got=$?; kill $SSH_AGENT_PID; exit $got", "agent"},
	}},
	{[]string{"upload"}, "scp -q -F {config} {local}/one pump:{remote}/allowed", []wayRound{
		{"a command", "ssh -F {config} -T pump 'touch {mark}'", "no exec"},
		{"scp in a shell", "ssh -F {config} -T pump 'sh -c \"scp -t {mark}\"' < /dev/null", "no exec"},
		{"scp and more", "ssh -F {config} -T pump 'scp -t /tmp; touch {mark}' < /dev/null", "no exec"},
		{"scp by a program of one's own", "ssh -F {config} -T pump '{local}/scp -t /tmp' < /dev/null", "no exec"},
		{"rsync with a shell of one's own", "ssh -F {config} -T pump 'rsync --server --rsh={local}/scp . {mark}' < /dev/null", "no exec"},
		{"scp down", "scp -q -O -F {config} pump:{secret} {back}/got", "download"},
		{"sftp down", "echo 'get {secret} {back}/got' | sftp -F {config} -b - pump", fileOp + "download"},
		{"rsync down", "rsync -e 'ssh -F {config}' pump:{secret} {back}/got", "download"},
		{"lftp down", "lftp -c 'set sftp:connect-program \"ssh -a -x -F {config}\"; set net:max-retries 1; open -u ops+pump, sftp://pump && get {secret} -o {back}/got'", fileOp + "download"},
	}},
	{[]string{"download"}, "scp -q -F {config} pump:{secret} {back}/allowed", []wayRound{
		{"scp up", "scp -q -O -F {config} {local}/one pump:{mark}", "upload"},
		{"sftp up", "echo 'put {local}/one {mark}' | sftp -F {config} -b - pump", fileOp + "upload"},
		{"sftp makes a folder", "echo 'mkdir {mark}' | sftp -F {config} -b - pump", fileOp + "upload"},
		{"sftp links", "echo 'ln -s {secret} {mark}' | sftp -F {config} -b - pump", fileOp + "upload"},
		{"sftp renames", "echo 'rename {secret} {mark}' | sftp -F {config} -b - pump", fileOp + "upload"},
		{"sftp copies", "echo 'cp {secret} {mark}' | sftp -F {config} -b - pump", fileOp + "upload"},
		{"rsync up", "rsync -e 'ssh -F {config}' {local}/one pump:{mark}", "upload"},
		{"psftp up", "printf 'put {local}/one {mark}\\n' > {dir}/b && psftp {putty} -b {dir}/b {user}@{host}", fileOp + "upload"},
	}},
	{[]string{"forward 127.0.0.1:9"}, "", []wayRound{
		{"another port", "ssh -F {config} -W {http} pump < /dev/null", "forward"},
		{"another name of the host", "ssh -F {config} -W localhost:9 pump < /dev/null", "forward"},
		{"a command", "ssh -F {config} -T pump 'touch {mark}'", "no exec"},
	}},
}

// TestWaysRoundAreClosed: for each set of abilities, what the stock clients
// can try beyond it is refused, in words that the log holds too.
func TestWaysRoundAreClosed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.write("local/scp", "#!/bin/sh\ntouch \"$2\"\n")
	d.must(os.Chmod(filepath.Join(d.local, "scp"), 0o700))
	for _, set := range waysRound {
		d.revoke(d.grant)
		d.grant = d.granted(set.abilities...)
		t.Run(strings.Join(set.abilities, ", "), func(t *testing.T) {
			for _, w := range set.ways {
				t.Run(w.name, func(t *testing.T) { d.row(t, client{}, "direct").closed(w) })
			}
			if set.works != "" {
				r := d.row(t, client{}, "direct")
				d.must(d.Ticket(d.ctx, "ana", d.grant))
				r.prepare()
				r.play(set.works)
			}
		})
	}
	d.verified()
}

// revoke takes a grant back.
func (s *story) revoke(grant string) {
	s.Helper()
	s.must(s.Machine().Post(s.ctx, "/api/v1/grants/"+grant+"/revoke", map[string]any{"word": "the next one"}, nil))
}

// prepare lays out what nobody may touch.
func (r *row) prepare() (secret, mark string) {
	r.T.Helper()
	secret, mark = filepath.Join(r.remote, "secret"), filepath.Join(r.remote, "mark")
	r.noError(os.WriteFile(secret, []byte("the drive's password\n"), 0o600))
	r.fill = strings.NewReplacer(append([]string{"{mark}", mark, "{secret}", secret}, r.words...)...)
	return secret, mark
}

// closed fails unless a way round is.
func (r *row) closed(w wayRound) {
	r.T.Helper()
	secret, mark := r.prepare()
	before := r.lastRefusal()
	r.noError(r.Ticket(r.ctx, "ana", r.grant))
	cmd := exec.CommandContext(r.ctx, "sh", "-c", r.fill.Replace(w.line))
	cmd.Env, cmd.WaitDelay = r.env(), 5*time.Second
	status, out, errOut := output(r.T, cmd)
	if status == 0 {
		r.T.Errorf("%s: it went well: %s%s", w.line, out, errOut)
	}
	word, file := strings.CutPrefix(w.says, fileOp)
	if !file || !strings.Contains(strings.ToLower(out+errOut), "permission denied") {
		says(r.T, w.name, out+errOut, word)
	}
	if _, err := os.Stat(mark); err == nil {
		r.T.Error("it left its mark at the target")
	}
	if _, err := os.Stat(secret); err != nil {
		r.T.Errorf("the secret: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(r.back, "got")); err == nil && len(b) > 0 {
		r.T.Errorf("it got %q", b)
	}
	if file {
		r.toldInIndex(word)
	}
	for _, e := range r.events("session.channel") {
		if e.Seq > before && e.Outcome == "refused" && strings.Contains(strings.ToLower(e.Reason), word) {
			return
		}
	}
	r.T.Errorf("the log does not tell of it: %+v", r.events("session.channel")[:1])
}

// toldInIndex fails unless the newest recording tells of a refused operation.
func (r *row) toldInIndex(word string) {
	r.T.Helper()
	id := r.sessions()[0].ID
	r.ended(id)
	ix := r.index(id)
	if !slices.ContainsFunc(ix.Files, func(f indexFile) bool { return f.Verdict == "refused" && strings.Contains(f.Why, word) }) {
		r.T.Errorf("the index does not tell of it: %+v", ix.Files)
	}
}

func (r *row) lastRefusal() int64 {
	if all := r.events("session.channel"); len(all) > 0 {
		return all[0].Seq
	}
	return 0
}

// TestMasterLeftOpen: a connection that is left open opens nothing more once
// its session is frozen, its window is over or its vendor suspended.
func TestMasterLeftOpen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		then func(s *story, id, grant string)
		says string
	}{
		{"frozen", func(s *story, id, _ string) {
			r, err := s.CLI(s.ctx, "session", "freeze", id, "--reason", "wrong valve")
			s.must(err)
			if r.Status != 0 {
				s.Fatal(r.Err)
			}
		}, "nothing new begins"},
		{"window over", func(s *story, id, grant string) { s.revoke(grant); s.ended(id) }, ""},
		{"suspended", func(s *story, id, _ string) { s.suspend("vendor", "acme", "breach notice"); s.ended(id) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t, rig.Options{})
			sink, err := net.Listen("tcp", "127.0.0.1:0")
			s.must(err)
			defer sink.Close()
			grant := s.granted("exec", "upload", "download", "forward "+sink.Addr().String())
			dir, err := os.MkdirTemp("", "c-") //nolint:usetesting // a control socket's path is short
			s.must(err)
			defer os.RemoveAll(dir)
			control, mark := "ControlPath="+filepath.Join(dir, "c"), filepath.Join(dir, "mark")
			s.must(s.Ticket(s.ctx, "ana", grant))
			master := exec.CommandContext(s.ctx, "ssh", s.Args("ana", "pump", "-o", control, "-M", "-N")...)
			s.must(master.Start())
			defer func() { _ = master.Process.Kill(); _ = master.Wait() }()
			s.must(rig.Until(s.ctx, 20*time.Second, func() error { _, err := os.Stat(filepath.Join(dir, "c")); return err }))
			if status, out, errOut := s.ssh("ana", "pump", "echo in", "-o", control); status != 0 || out != "in\n" {
				t.Fatalf("while all is well: %d %q %s", status, out, errOut)
			}
			c.then(s, s.sessions()[0].ID, grant)
			for _, line := range []string{"touch " + mark, "scp -t " + mark, "rsync --server . " + mark} {
				status, out, errOut := s.ssh("ana", "pump", line, "-o", control)
				if status == 0 || out != "" {
					t.Errorf("%s: %d %q", line, status, out)
				}
				says(t, line, errOut, c.says)
			}
			status, out, _ := output(t, exec.CommandContext(s.ctx, "ssh", s.Args("ana", "pump", "-o", control, "-W", sink.Addr().String())...))
			if status == 0 || out != "" {
				t.Errorf("a forward: %d %q", status, out)
			}
			if _, err := os.Stat(mark); err == nil {
				t.Error("something ran at the target")
			}
			if all := s.sessions(); len(all) != 1 {
				t.Errorf("there are %d sessions: %s", len(all), fmt.Sprint(all))
			}
		})
	}
}
