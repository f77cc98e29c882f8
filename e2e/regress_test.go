package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// regressDir is where Debian's openssh-tests has its scripts.
const regressDir = "/usr/lib/openssh/regress"

// regressWithin bounds the whole of it.
const regressWithin = time.Hour

// regressed is one script of OpenSSH's. What apart holds it says through the
// gateway alone, and each for the reason that stands beside it.
type regressed struct {
	script string
	within time.Duration
	noR    bool        // -R is left out both ways: the gateway never grants it, and more can be seen without
	apart  [][2]string // part of what is said, why
}

func (c regressed) String() string {
	if c.noR {
		return c.script + " less -R"
	}
	return c.script
}

const noReverse = "reverse forwarding is refused to everybody"

var regressScripts = []regressed{
	{script: "exit-status", within: 2 * time.Minute},
	{script: "broken-pipe", within: time.Minute},
	{script: "yes-head", within: time.Minute},
	{script: "transfer", within: 2 * time.Minute},
	{script: "sftp", within: 5 * time.Minute},
	{script: "sftp-cmds", within: 3 * time.Minute},
	{script: "scp", within: 4 * time.Minute},
	{script: "scp3", within: 2 * time.Minute},
	{script: "putty-transfer", within: 2 * time.Minute},
	{script: "stderr-data", within: 2 * time.Minute},
	{script: "stderr-after-eof", within: time.Minute},
	{script: "banner", within: 2 * time.Minute, apart: [][2]string{
		{"banner size", "a target's banner is shown marked as the target's, without control characters, cut at 4 KiB"},
		{"suppress banner (-q)", "the banner comes with the first channel's stderr, which -q does not silence"},
	}},
	{script: "login-timeout", within: 2 * time.Minute},
	{script: "channel-timeout", within: 3 * time.Minute},
	{script: "connection-timeout", within: 3 * time.Minute, noR: true},
	{script: "forwarding", within: 3 * time.Minute, apart: [][2]string{
		{"copy of /bin/ls", noReverse},
		{"connection failed, should not", noReverse},
	}},
	{script: "forwarding", within: 3 * time.Minute, noR: true, apart: [][2]string{
		{"copy of /bin/ls", "RemoteForward in the configuration is refused as -R is"},
	}},
	{script: "multiplex", within: 4 * time.Minute, apart: [][2]string{
		{"environment not found", "of the environment only the language is passed on"},
		{"corrupted copy of OBJ/data", noReverse},
		{"request remote forward failed", noReverse},
		{"connect to remote forwarded", noReverse},
		{"connect to local forward path failed", "what answers at the forward's end is the gateway, in other words than sshd's"},
	}},
	{script: "rekey", within: 20 * time.Minute, apart: [][2]string{
		{"no rekeying occurred", "what the target's sshd rekeys is its connection with the gateway, which the client does not see"},
	}},
}

// TestRegress: OpenSSH's own regress scripts say through the gateway what they
// say without it. PORTCULLIS_REGRESS names the ones to run, "all" for all;
// they take half an hour, so `make regress` sets it and nobody else.
func TestRegress(t *testing.T) {
	which := strings.Fields(os.Getenv("PORTCULLIS_REGRESS"))
	if len(which) == 0 {
		t.Skip("make regress runs OpenSSH's own scripts")
	}
	r := newRoutes(t)
	ctx, cancel := context.WithTimeout(t.Context(), regressWithin)
	defer cancel()
	r.ctx = ctx
	r.begin()
	straight := route{key: r.key, host: r.Plant.HostKey, proxy: r.proxyA.port, long: r.longA.port}
	through := route{key: filepath.Join(r.Clients["ana"].Dir, "id"), host: r.gatewayKey(), proxy: r.proxyB.port, long: r.longB.port, account: "ops", target: true}

	var rows strings.Builder
	table := tabwriter.NewWriter(&rows, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "script\twithout\tthrough\tsame or why not")
	for _, c := range regressScripts {
		if which[0] != "all" && !slices.Contains(which, c.script) {
			continue
		}
		t.Run(c.String(), func(t *testing.T) {
			a := r.script(t, c, straight)
			b := r.script(t, c, through)
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c, a, b, c.compare(t, a, b))
		})
	}
	table.Flush()
	t.Logf("OpenSSH's regress scripts without the gateway and through it:\n%s", rows.String())
	r.verified()
}

// compare fails for what is said by one route alone and is not told of in
// apart, and for what is told of there and not said. It returns the table's
// last cell.
func (c regressed) compare(t *testing.T, without, through outcome) string {
	t.Helper()
	met, whys, only := map[string]bool{}, []string{}, slices.Clone(without.fails)
	for _, f := range through.fails {
		i := slices.IndexFunc(c.apart, func(a [2]string) bool { return strings.Contains(f, a[0]) })
		both := slices.Index(only, f)
		switch {
		case both >= 0:
			only = slices.Delete(only, both, both+1)
		case i < 0:
			t.Errorf("only through the gateway: %s", f)
		default:
			if met[c.apart[i][0]] = true; !slices.Contains(whys, c.apart[i][1]) {
				whys = append(whys, c.apart[i][1])
			}
		}
	}
	for _, f := range only {
		t.Errorf("only without the gateway: %s", f)
	}
	for _, a := range c.apart {
		if !met[a[0]] {
			t.Errorf("%q is said no more; strike it from the table", a[0])
		}
	}
	switch {
	case t.Failed():
		return "NOT THE SAME"
	case len(whys) > 0:
		return strings.Join(whys, "; ")
	}
	return "same"
}
