package e2e

import (
	"strings"
	"testing"
	"time"
)

// client is one row of the interop table: shell lines that take the test's
// files to the target and back with a stock client, each line one connection.
// Words in braces are filled in by desk.fill. A row that names {config} is run
// twice: straight to the gateway, and through it as a jump host.
type client struct {
	name   string
	kinds  []string // of the channels that the recording tells of
	before string   // run once, not through the gateway
	up     string
	down   string
	one    bool // big.bin alone and not the whole tree
	packs  bool // at the target lies something else than the files themselves
	blind  bool // it shows nobody what the gateway says, so the touch comes first
	moves  bool // the files have other names while they are carried
}

var clients = []client{
	{name: "ssh", kinds: []string{"exec"}, one: true,
		up:   "ssh -F {config} -T pump 'cat > {remote}/big.bin' < {local}/big.bin",
		down: "ssh -F {config} -T pump 'cat {remote}/big.bin' > {back}/big.bin"},
	{name: "scp", kinds: []string{"sftp"},
		up:   "scp -q -F {config} -rp {local}/. pump:{remote}",
		down: "scp -q -F {config} -rp pump:{remote}/. {back}"},
	{name: "scp -O", kinds: []string{"scp"},
		up:   "scp -q -O -F {config} -rp {local}/* pump:{remote}/",
		down: "scp -q -O -F {config} -rp 'pump:{remote}/*' {back}/"},
	{name: "sftp", kinds: []string{"sftp"},
		up:   "echo 'put {local}/* {remote}/' | sftp -F {config} -b - pump",
		down: "echo 'get {remote}/* {back}/' | sftp -F {config} -b - pump"},
	{name: "rsync", kinds: []string{"rsync"},
		up:   "rsync -a -e 'ssh -F {config}' {local}/ pump:{remote}/",
		down: "rsync -az -e 'ssh -F {config}' pump:{remote}/ {back}/"},
	{name: "git", kinds: []string{"git"}, packs: true,
		before: "git init -q --bare {remote}/r.git && git init -q {work} && cp {local}/* {work}/ && cd {work} && git add . && git commit -q -m files",
		up:     "GIT_SSH_COMMAND='ssh -F {config}' git -C {work} push -q pump:{remote}/r.git HEAD:refs/heads/main",
		down:   "GIT_SSH_COMMAND='ssh -F {config}' git clone -q -b main pump:{remote}/r.git {back}"},
	{name: "ssh -L", kinds: []string{"forward"}, one: true,
		up:   "ssh -F {config} -o ControlPath={dir}/c -M -f -N -L {port}:{http} pump && curl -sSf -T {local}/big.bin http://127.0.0.1:{port}{remote}/big.bin && ssh -F {config} -o ControlPath={dir}/c -O exit pump",
		down: "ssh -F {config} -o ControlPath={dir}/c -M -f -N -D {port} pump && curl -sSf --socks5 127.0.0.1:{port} -o {back}/big.bin http://{http}{remote}/big.bin && ssh -F {config} -o ControlPath={dir}/c -O exit pump"},
	{name: "ControlMaster", kinds: []string{"sftp", "exec", "scp"},
		up: "ssh -F {config} -o ControlPath={dir}/c -M -f -N pump && scp -q -F {config} -o ControlPath={dir}/c {local}/* pump:{remote}/ && scp -q -O -F {config} -o ControlPath={dir}/c {local}/big.bin pump:{remote}/ && " +
			"ssh -F {config} -o ControlPath={dir}/c pump 'cat {remote}/big.bin' | cmp - {local}/big.bin && ssh -F {config} -o ControlPath={dir}/c -O exit pump",
		down: "ssh -F {config} -o ControlPath={dir}/c -M -f -N pump && scp -q -F {config} -o ControlPath={dir}/c 'pump:{remote}/*' {back}/ && scp -q -O -F {config} -o ControlPath={dir}/c pump:{remote}/big.bin {back}/ && " +
			"ssh -F {config} -o ControlPath={dir}/c pump 'cat {remote}/big.bin' | cmp - {local}/big.bin && ssh -F {config} -o ControlPath={dir}/c -O exit pump"},

	{name: "plink", kinds: []string{"exec"}, one: true,
		up:   "plink {putty} {user}@{host} 'cat > {remote}/big.bin' < {local}/big.bin",
		down: "plink {putty} {user}@{host} 'cat {remote}/big.bin' > {back}/big.bin"},
	{name: "pscp", kinds: []string{"sftp"},
		up:   "pscp {putty} -q -sftp -p {local}/* {user}@{host}:{remote}/",
		down: "pscp {putty} -q -sftp -p '{user}@{host}:{remote}/*' {back}"},
	{name: "pscp -scp", kinds: []string{"scp"},
		up:   "pscp {putty} -q -scp -p {local}/* {user}@{host}:{remote}/",
		down: "pscp {putty} -q -scp -p -unsafe '{user}@{host}:{remote}/*' {back}"},
	{name: "psftp", kinds: []string{"sftp"},
		up:   "printf 'lcd {local}\\ncd {remote}\\nmput *\\n' > {dir}/up && psftp {putty} -b {dir}/up {user}@{host}",
		down: "printf 'lcd {back}\\ncd {remote}\\nmget *\\n' > {dir}/down && psftp {putty} -b {dir}/down {user}@{host}"},

	{name: "dbclient", kinds: []string{"exec"}, one: true,
		up:   "dbclient {dropbear} {user}@{host} 'cat > {remote}/big.bin' < {local}/big.bin",
		down: "dbclient {dropbear} {user}@{host} 'cat {remote}/big.bin' > {back}/big.bin"},
	{name: "scp by dbclient", kinds: []string{"scp"},
		up:   "scp -q -O -S {dir}/dropbear {local}/* {user}@{host}:{remote}/",
		down: "scp -q -O -S {dir}/dropbear '{user}@{host}:{remote}/*' {back}/"},

	// lftp hangs up on a file that it has not closed, unless something follows.
	{name: "lftp", kinds: []string{"sftp"}, blind: true,
		up:   "lftp -c 'set sftp:connect-program \"ssh -a -x -F {config}\"; set net:max-retries 1; open -u {login}, sftp://pump && mirror -R {local} {remote}'",
		down: "lftp -c 'set sftp:connect-program \"ssh -a -x -F {config}\"; set net:max-retries 1; open -u {login}, sftp://pump && mirror {remote} {back} && cls {remote}'"},
	{name: "paramiko", kinds: []string{"sftp", "exec"},
		up:   "/usr/bin/python3 testdata/interop.py {host} {sshport} {user} {id} {knownhosts} up {local} {remote}",
		down: "/usr/bin/python3 testdata/interop.py {host} {sshport} {user} {id} {knownhosts} down {back} {remote}"},
	{name: "Ansible", kinds: []string{"sftp", "exec"}, one: true, blind: true, moves: true,
		up:   "ansible-playbook -i pump, --ssh-common-args='-F {config}' -e 'local={local} remote={remote}' testdata/interop_up.yml && {ansiblestop}",
		down: "ansible-playbook -i pump, --ssh-common-args='-F {config}' -e 'back={back} remote={remote}' testdata/interop_down.yml && {ansiblestop}"},
}

// TestInterop: what engineers work with, each really run: files go up and come
// back byte for byte, by one touch and in one session each way, and the
// recording tells of them with the digests that sha256sum prints. The touch
// for the way up comes before the client, the one for the way back while the
// gateway holds it.
func TestInterop(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, c := range clients {
		forms := []string{""}
		if strings.Contains(c.up, "{config}") {
			forms = []string{"direct", "-J"}
		}
		for _, form := range forms {
			t.Run(strings.TrimSpace(c.name+" "+form), func(t *testing.T) {
				begun := time.Now()
				r := d.row(t, c, form)
				if c.before != "" {
					r.play(c.before)
				}
				r.carry(c.up, true)
				r.carry(c.down, false)
				t.Logf("both ways: %s", time.Since(begun).Round(10*time.Millisecond))
			})
		}
	}
	d.verified()
}
