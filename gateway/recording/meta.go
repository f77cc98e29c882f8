package recording

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Meta is what is known of a session when its recording starts. It is written
// into the manifest, signed, before Start returns.
type Meta struct {
	Session  string    `json:"session"` // names the recording's folder
	Grant    string    `json:"grant"`
	Request  string    `json:"request"`
	Person   string    `json:"person"`
	Vendor   string    `json:"vendor"`
	Target   string    `json:"target"`
	Account  string    `json:"account"`
	Protocol string    `json:"protocol"`
	Node     string    `json:"node"`
	Source   string    `json:"source"`
	Client   string    `json:"client"`
	Started  time.Time `json:"started,omitzero"`
	Until    time.Time `json:"until,omitzero"`
	Rule     string    `json:"rule,omitempty"` // the recording rule that policy set
}

// manifest is the content of manifest.json.
type manifest struct {
	Version int       `json:"version"`
	Begun   time.Time `json:"begun"` // the frames' zero
	Meta    Meta      `json:"meta"`
}

// Stream is one of the streams of a channel.
type Stream byte

// The streams. Output takes the first two; Stdin is for RawChannel alone.
const (
	Stdout Stream = Stream(kindStdout)
	Stderr Stream = Stream(kindStderr)
	Stdin  Stream = Stream(kindInput)
)

// channelOpen is the payload of a kindChannel frame. A command that is not
// valid UTF-8 stands in Bytes as it came; Command is then only its picture.
type channelOpen struct {
	Kind    gateway.ChannelKind `json:"kind"`
	Command string              `json:"command,omitempty"`
	Bytes   []byte              `json:"bytes,omitempty"`
	Pty     *gateway.Pty        `json:"pty,omitempty"`
	To      string              `json:"to,omitempty"` // forward: host:port
}

// channelExit is the payload of a kindExit frame.
type channelExit struct {
	Status *uint32 `json:"status,omitempty"`
	Signal string  `json:"signal,omitempty"` // without "SIG", RFC 4254 clause 6.10
}

// Sealed is what Seal and Recover answer. Digest is the SHA-256 of seal.json,
// which names every file of the recording by its own.
type Sealed struct {
	Digest   gateway.Digest
	BytesOut int64 // shown, both output streams
	BytesIn  int64 // typed
	Segments int
	Duration time.Duration // from the beginning to the last frame
}

// seal is the content of seal.json.
type seal struct {
	Version     int               `json:"version"`
	Session     string            `json:"session"`
	Manifest    gateway.Digest    `json:"manifest"` // of manifest.json
	SealedAt    time.Time         `json:"sealed_at"`
	Reason      gateway.EndReason `json:"reason"`
	Interrupted bool              `json:"interrupted"` // cut short: by a crash, or by a disk that let us down
	Fault       string            `json:"fault,omitempty"`
	BytesOut    int64             `json:"bytes_out"`
	BytesIn     int64             `json:"bytes_in"`
	LastMicros  int64             `json:"last_us"` // time of the last frame
	Torn        int64             `json:"torn"`    // bytes after the last whole frame, kept in .torn files
	Segments    []segmentSeal     `json:"segments"`
}

// segmentSeal names one segment file in the seal.
type segmentSeal struct {
	Name        string         `json:"name"`
	Digest      gateway.Digest `json:"digest"` // of the whole file
	Size        int64          `json:"size"`
	Frames      int64          `json:"frames"`
	Bytes       int64          `json:"bytes"`
	LastMicros  int64          `json:"last_us"`
	Interrupted bool           `json:"interrupted,omitempty"`
	Torn        int64          `json:"torn,omitempty"`
	TornDigest  gateway.Digest `json:"torn_digest,omitzero"` // of the .torn file
	// Broken says that the segment names another predecessor than the one on
	// disk: a power cut took the predecessor's end but not this segment.
	Broken bool   `json:"broken,omitempty"`
	Fault  string `json:"fault,omitempty"`
}

func (s seal) sealed(digest gateway.Digest) Sealed {
	return Sealed{Digest: digest, BytesOut: s.BytesOut, BytesIn: s.BytesIn, Segments: len(s.Segments), Duration: micros(s.LastMicros)}
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
