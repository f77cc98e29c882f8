package transfer

import (
	"path"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// folders are where a transfer program may be named to be; anywhere else it
// could be anything, and so it could under another name.
var folders = []string{
	"/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin",
	"/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local/libexec", "/usr/lib/ssh", "/usr/lib64/ssh", "/usr/lib/misc",
	"/usr/lib/openssh", "/usr/libexec/openssh", "/usr/libexec/git-core", "/usr/lib/git-core",
}

// Recognise says what kind of channel a command makes: one of the file
// transfers, or ChannelExec for everything that is not wholly and strictly
// understood as one. Of a transfer it also says which way files go; of sftp the
// requests say it.
func Recognise(command string) gateway.Channel {
	ch := gateway.Channel{Kind: gateway.ChannelExec, Command: command}
	words, ok := split(command)
	if !ok || words[0].glob {
		return ch
	}
	program := path.Base(words[0].text)
	if folder := strings.TrimSuffix(words[0].text, program); folder != "" && !slices.Contains(folders, strings.TrimSuffix(folder, "/")) {
		return ch
	}
	if program == "git" && len(words) > 1 && slices.Contains(gitPrograms, "git-"+words[1].text) {
		program, words = "git-"+words[1].text, words[1:]
	}
	var kind gateway.ChannelKind
	var call moved
	switch args := words[1:]; program {
	case "sftp-server":
		kind, ok = gateway.ChannelSFTP, len(args) == 0
	case "scp":
		kind = gateway.ChannelSCP
		call, ok = parseSCP(args)
	case "rsync":
		kind = gateway.ChannelRsync
		call, ok = parseRsync(args)
	case "git-upload-pack", "git-upload-archive", "git-receive-pack":
		kind = gateway.ChannelGit
		call, ok = parseGit(program, args)
	default:
		return ch
	}
	if ok {
		ch.Kind, ch.Upload, ch.Download = kind, call.up, call.down
	}
	return ch
}

// moved is what a command line says of the files that it moves.
type moved struct {
	up, down bool
	folder   bool     // scp: the one path is a folder
	paths    []string // at the target
}

// calledWith reads a recognised command once more, for its paths.
func calledWith(ch gateway.Channel) moved {
	words, ok := split(ch.Command)
	if !ok {
		return moved{}
	}
	var call moved
	switch ch.Kind {
	case gateway.ChannelSCP:
		call, _ = parseSCP(words[1:])
	case gateway.ChannelRsync:
		call, _ = parseRsync(words[1:])
	case gateway.ChannelGit:
		call = moved{paths: []string{words[len(words)-1].text}}
	}
	return call
}

// parseSCP takes the far end's half of scp: -t or -f, and what goes with it.
// A pattern could become a second option where a file has the name of one:
// with -f that changes nothing, because it goes before all others; with -t it
// could turn the direction, so none is taken there.
func parseSCP(args []word) (moved, bool) {
	var m moved
	for len(args) > 0 && strings.HasPrefix(args[0].text, "-") {
		flags := args[0].text[1:]
		if args[0].glob || flags == "" || strings.Trim(flags, "rpdvqtf") != "" && flags != "-" {
			return m, false
		}
		args = args[1:]
		if flags == "-" {
			break
		}
		m.up = m.up || strings.Contains(flags, "t")
		m.down = m.down || strings.Contains(flags, "f")
		m.folder = m.folder || strings.Contains(flags, "d")
	}
	if m.up == m.down || len(args) == 0 || m.up && len(args) != 1 {
		return m, false
	}
	for _, a := range args {
		if a.text == "" || len(a.text) > maxPath || m.up && (a.glob || a.text[0] == '-') {
			return m, false
		}
		m.paths = append(m.paths, a.text)
	}
	return m, true
}

var gitPrograms = []string{"git-upload-pack", "git-upload-archive", "git-receive-pack"}

// parseGit takes the one argument that a client gives: the repository.
func parseGit(program string, args []word) (moved, bool) {
	if len(args) != 1 || args[0].glob || args[0].text == "" || args[0].text[0] == '-' || len(args[0].text) > maxPath {
		return moved{}, false
	}
	up := program == "git-receive-pack"
	return moved{up: up, down: !up, paths: []string{args[0].text}}, true
}
