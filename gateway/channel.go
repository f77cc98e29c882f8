package gateway

import "slices"

// ChannelKind is what one channel of a session carries.
type ChannelKind string

// The closed list of channel kinds.
const (
	ChannelShell   ChannelKind = "shell"   // RFC 4254 clause 6.5
	ChannelExec    ChannelKind = "exec"    // a command that is none of the following
	ChannelSFTP    ChannelKind = "sftp"    // the subsystem, or its server as a command
	ChannelSCP     ChannelKind = "scp"     // scp's own protocol, as a command
	ChannelRsync   ChannelKind = "rsync"   // rsync --server, as a command
	ChannelGit     ChannelKind = "git"     // git's pack programs, as a command
	ChannelForward ChannelKind = "forward" // direct-tcpip, RFC 4254 clause 7.2
	ChannelHTTPS   ChannelKind = "https"   // what browsers of one login exchange with a console
	ChannelTunnel  ChannelKind = "tunnel"  // the packets of one WireGuard peer
)

// ChannelKinds is the closed list in its order.
func ChannelKinds() []ChannelKind {
	return []ChannelKind{ChannelShell, ChannelExec, ChannelSFTP, ChannelSCP, ChannelRsync, ChannelGit, ChannelForward, ChannelHTTPS, ChannelTunnel}
}

// Transfers reports whether the channel carries files and no terminal.
func (k ChannelKind) Transfers() bool {
	return k == ChannelSFTP || k == ChannelSCP || k == ChannelRsync || k == ChannelGit
}

// Channel is a channel as a proxy asks a session for it.
type Channel struct {
	Kind     ChannelKind
	Command  string // as it came; of exec, scp, rsync, git, and of sftp by command
	Pty      *Pty   // the terminal that was asked for
	Upload   bool   // scp, rsync, git: files go to the target
	Download bool   // scp, rsync, git: files come from it
	To       string // forward: host:port, as Abilities.Forward has it
	From     string // forward: who connected at the engineer's end, as the client says; not to be relied on
}

// Pty is a terminal that was asked for (RFC 4254 clause 6.2).
type Pty struct {
	Term string `json:"term"`
	Cols uint32 `json:"cols"`
	Rows uint32 `json:"rows"`
}

// FileOp is what a file transfer does at the target.
type FileOp string

// The closed list of file operations.
const (
	FileRead    FileOp = "read"
	FileWrite   FileOp = "write"
	FileList    FileOp = "list" // a folder
	FileStat    FileOp = "stat" // also: where a link leads, what a file system holds
	FileMkdir   FileOp = "mkdir"
	FileRmdir   FileOp = "rmdir"
	FileRemove  FileOp = "remove"
	FileRename  FileOp = "rename"
	FileSymlink FileOp = "symlink"
	FileLink    FileOp = "link"
	FileSetstat FileOp = "setstat" // mode, owner, times, size
	FileCopy    FileOp = "copy"    // at the target, from one of its files to another
)

// FileVerdict is what became of a file operation.
type FileVerdict string

// The closed list of verdicts.
const (
	FileDone    FileVerdict = "done"
	FileRefused FileVerdict = "refused" // by us: it never reached the target
	FileFailed  FileVerdict = "failed"  // by the target
	FileCut     FileVerdict = "cut"     // the channel ended in the middle of it
)

// File is one operation on a file, as the recording's index has it. Paths are
// as the client sent them, made valid UTF-8.
type File struct {
	Op      FileOp      `json:"op"`
	Path    string      `json:"path"`
	To      string      `json:"to,omitempty"`     // rename, link, symlink, copy: the other path
	Offset  int64       `json:"offset,omitempty"` // read, write: where the bytes begin in the file
	Bytes   int64       `json:"bytes"`            // read, write: how many passed
	SHA256  Digest      `json:"sha256,omitzero"`  // of those bytes in the file's order; zero when they came in an order that could not be followed
	Whole   bool        `json:"whole,omitempty"`  // the bytes are the whole file, from its beginning to its end
	Verdict FileVerdict `json:"verdict"`
	Why     string      `json:"why,omitempty"` // refused, failed: a sentence
}

// Flow is one forwarded TCP connection, as the recording's index has it: told
// when it begins, at least once for each FlowStep bytes, and when it ends.
type Flow struct {
	To        string `json:"to"`   // host:port
	From      string `json:"from"` // who connected at the engineer's end, as the client says
	BytesIn   int64  `json:"bytes_in"`
	BytesOut  int64  `json:"bytes_out"`
	KeptIn    int64  `json:"kept_in"` // of those, how many stand in the recording
	KeptOut   int64  `json:"kept_out"`
	SHA256In  Digest `json:"sha256_in,omitzero"` // of all bytes in this direction so far
	SHA256Out Digest `json:"sha256_out,omitzero"`
	Ended     bool   `json:"ended,omitempty"`
}

// Lets reports whether the abilities let a channel begin. Of sftp, each
// operation is judged by LetsFile besides.
func (a Abilities) Lets(c Channel) bool {
	switch c.Kind {
	case ChannelShell:
		return a.Shell
	case ChannelExec:
		return a.Exec
	case ChannelSFTP:
		return a.Upload || a.Download
	case ChannelSCP, ChannelRsync, ChannelGit:
		return (c.Upload || c.Download) && (!c.Upload || a.Upload) && (!c.Download || a.Download)
	case ChannelForward:
		return a.MayForward(c.To)
	case ChannelHTTPS: // each request is judged by LetsHTTP besides
		return len(a.Methods) > 0
	case ChannelTunnel: // each flow is judged by FlowRules besides
		return len(a.Flows) > 0
	}
	return false
}

// LetsFile reports whether the abilities let a file operation happen. To look
// needs either direction; to change anything needs upload.
func (a Abilities) LetsFile(op FileOp) bool {
	switch op {
	case FileRead:
		return a.Download
	case FileList, FileStat:
		return a.Upload || a.Download
	case FileWrite, FileMkdir, FileRmdir, FileRemove, FileRename, FileSymlink, FileLink, FileSetstat, FileCopy:
		return a.Upload
	}
	return false
}

// Transfer says whether a live session carries files now, as far as is known;
// empty: no. scp, rsync and git run only while they transfer; an sftp channel
// may be idle. What a shell or a forward carries is not known.
func (s Session) Transfer() string {
	for _, k := range []ChannelKind{ChannelSCP, ChannelRsync, ChannelGit} {
		if slices.Contains(s.Running, k) {
			return "transfer under way: " + string(k)
		}
	}
	if slices.Contains(s.Running, ChannelSFTP) {
		return "sftp is open, a transfer may be under way"
	}
	return ""
}
