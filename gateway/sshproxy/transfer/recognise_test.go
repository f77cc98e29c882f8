package transfer

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func TestRecognise(t *testing.T) {
	const up, down = "up", "down"
	for command, want := range map[string]string{
		"scp -t /tmp/x": "scp up", "scp -f /tmp/x": "scp down", "scp -r -p -d -t -- /tmp/x": "scp up", "scp -rpt .": "scp up",
		"scp -f *.log": "scp down", "scp -f 'a b (1).txt'": "scp down", `scp -f a\ b`: "scp down", "/usr/bin/scp -v -f ~/x": "scp down",
		`scp -t "it is"`: "scp up", "scp -f -- -x": "scp down",
		"rsync --server -vlogDtpre.iLsfxCIvu . /x":                                "rsync up",
		"rsync --server --sender -vlogDtpre.iLsfxCIvu . /x y/*":                   "rsync down",
		"rsync --server -logDtpre.iLsfxCIvu --partial-dir=.p --bwlimit=10 . /x":   "rsync up",
		"rsync --server -logDtpre.iLsfxCIvu --delete . /x":                        "rsync up down",
		"rsync --server -mlogDtpre.iLsfxCIvu . /x":                                "rsync up down",
		"rsync --server --sender -logDtpre.iLsfxCIvu --remove-source-files . /x":  "rsync up down",
		"rsync --server --sender -logDtpre.iLsfxCIvu --files-from=- --from0 . /x": "rsync down",
		"git-upload-pack '/a b.git'":                                              "git down", "git receive-pack 'x.git'": "git up", "git-upload-archive 'x'": "git down",
		"/usr/lib/openssh/sftp-server": "sftp", "sftp-server": "sftp",
		// All that any shell could read otherwise, and all that is more than a transfer.
		"": "exec", " ": "exec", "scp": "exec", "scp -t": "exec", "scp -tf x": "exec", "scp -t a b": "exec", "scp -f": "exec",
		"scp -t x; id": "exec", "scp -t x\nid": "exec", "scp -t x & id": "exec", "scp -t $(id)": "exec", "scp -t `id`": "exec", "scp -t x|id": "exec",
		"scp -t x>y": "exec", "scp -f {-S,x}": "exec", "scp -t *": "exec", "scp -t x -f": "exec", "scp -S/tmp/e -f x": "exec", "scp -oProxyCommand=e -t x": "exec",
		`scp -f 'a\' '; id; '`: "exec", // fish
		"scp -t 'a & id'":      "exec", // cmd.exe
		`scp -t a\;id`:         "exec", // PowerShell
		"scp -t 'a\u2019; id'": "exec", // PowerShell
		"scp -t a\u2013f":      "exec", "scp -t a,-f": "exec", "scp -t 'a -f'": "exec", "scp -t '!id'": "exec", "scp -t \"$x\"": "exec", "scp -t x^id": "exec",
		"scp -t =id": "exec", "scp -t #x": "exec", "scp -t \x80": "exec", "scp -t a\x00b": "exec", "scp -t %PATH%": "exec", "scp -t ''": "exec",
		"sh -c 'scp -t x'": "exec", "sudo scp -t x": "exec", "A=b scp -t x": "exec", "./scp -t x": "exec", "/tmp/scp -t x": "exec", "~/scp -t x": "exec",
		"/usr/bin/../../tmp/scp -t x": "exec", "//usr/bin/scp -t x": "exec", "/usr/bin//scp -t x": "exec", "s?p -t x": "exec", "scp -t x 'y": "exec",
		"rsync --server --daemon .": "exec", "rsync --daemon --server . x": "exec", "rsync --server -e.x --log-file=/x . y": "exec", "rsync --server -logs . x": "exec",
		"rsync --server -e id . x": "exec", "rsync --server -a --rsh=id . x": "exec", "rsync --server -a . x --daemon": "exec", "rsync --server -aB1 . x": "exec",
		"rsync --server -a --block-size=1 . x": "exec", "rsync --server -a --write-devices . x": "exec", "rsync --server -a --config=x . y": "exec", "rsync -a . x": "exec",
		"rsync --server -a --files-from=/etc/shadow . x": "exec", "rsync --server --sender -a . *": "exec", "rsync --server -a --early-input=x . y": "exec",
		"rsync --server -a --debug=ALL . x": "exec", "rsync --server -a --sender . x": "exec",
		"git-upload-pack --upload-pack=id x": "exec", "git-upload-pack": "exec", "git-upload-pack '-x'": "exec", "git -c core.x=y upload-pack x": "exec", "git push": "exec",
		"git --exec-path=/tmp upload-pack x": "exec", "git-shell -c x": "exec",
		"sftp-server -R": "exec", "sftp-server -d /": "exec", "/tmp/sftp-server": "exec", "scp -f " + strings.Repeat("x", maxCommand): "exec",
	} {
		ch := Recognise(command)
		got := string(ch.Kind)
		if ch.Upload {
			got += " " + up
		}
		if ch.Download {
			got += " " + down
		}
		if got != want || ch.Command != command {
			t.Errorf("%q is %s, wants %s", command, got, want)
		}
	}
}

// What is recognised has nothing outside quotes that a shell acts on.
func FuzzRecognise(f *testing.F) {
	for _, c := range []string{"scp -t /x", `scp -f 'a b' c\ d`, "rsync --server --sender -logDtpre.iLsfxCIvu . x", "git-upload-pack 'x'", "sftp-server"} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, command string) {
		ch := Recognise(command)
		if ch.Kind == gateway.ChannelExec {
			return
		}
		if strings.ContainsAny(command, ";&|$`<>^!%\n\r\t{}") && !strings.ContainsAny(command, `'"`) || strings.ContainsAny(command, "&|$`<>^!\n\r\t\x00") {
			t.Fatalf("%q is %s", command, ch.Kind)
		}
		if ch.Kind != gateway.ChannelSFTP && !ch.Upload && !ch.Download {
			t.Fatalf("%q goes nowhere", command)
		}
		if ch.Kind != gateway.ChannelSFTP && len(calledWith(ch).paths) == 0 {
			t.Fatalf("%q has no path", command)
		}
	})
}
