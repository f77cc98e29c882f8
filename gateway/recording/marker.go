package recording

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/portcullis/portcullis/gateway"
)

// marker words a file or flow frame for the list of markers; empty when it is
// worth none.
func marker(f frame) string {
	switch f.kind {
	case kindFile:
		file, err := parseFile(f.payload)
		if err != nil {
			return "a file operation cannot be read"
		}
		return fileMarker(file)
	case kindNetworkFlow:
		flow, err := parseNetworkFlow(f.payload)
		if err != nil {
			return "a flow of the tunnel cannot be read"
		}
		return networkMarker(flow)
	}
	flow, err := parseFlow(f.payload)
	if err != nil {
		return "the account of a forward cannot be read"
	}
	if !flow.Ended { // its channel's marker tells the beginning
		return ""
	}
	return fmt.Sprintf("forward to %s ended: out %s, in %s", shown(flow.To),
		amount(flow.BytesOut, flow.SHA256Out), amount(flow.BytesIn, flow.SHA256In))
}

// networkMarker words the beginning of a flow, its refusal and its end: "flow 3:
// tcp to hist 10.0.0.5:502". What it carried on its way is worth none.
func networkMarker(f gateway.NetworkFlow) string {
	text := fmt.Sprintf("flow %d: %s", f.N, FlowText(f))
	switch {
	case f.Ended && f.Verdict == gateway.FlowOpen:
		return fmt.Sprintf("%s, ended by %s: in %s, out %s", text, cmp.Or(string(f.EndedBy), "nobody known"), amount(f.BytesIn, gateway.Digest{}), amount(f.BytesOut, gateway.Digest{}))
	case f.Verdict == gateway.FlowOpen && f.BytesIn+f.BytesOut > 0:
		return ""
	}
	return text
}

// fileMarker words one operation: "read /etc/hosts, 174 bytes, sha256 ab12…".
func fileMarker(f gateway.File) string {
	text := string(f.Op) + " " + shown(f.Path)
	if f.To != "" {
		text += " to " + shown(f.To)
	}
	if f.Op == gateway.FileRead || f.Op == gateway.FileWrite {
		if f.Offset > 0 {
			text += fmt.Sprintf(" from byte %d", f.Offset)
		}
		if f.Verdict != gateway.FileRefused {
			text += ", " + amount(f.Bytes, f.SHA256)
		}
	}
	if f.Verdict != gateway.FileDone {
		text = string(f.Verdict) + " " + text
	}
	if f.Why != "" {
		text += ": " + shown(f.Why)
	}
	return text
}

func amount(bytes int64, sum gateway.Digest) string {
	text := strconv.FormatInt(bytes, 10) + " bytes"
	if bytes == 1 {
		text = "1 byte"
	}
	if !sum.IsZero() && bytes > 0 {
		text += ", sha256 " + sum.Short() + "…"
	}
	return text
}

// shown is what the other side named, quoted where it could make the line read
// otherwise than it is.
func shown(s string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }
	if strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

func parseFile(b []byte) (f gateway.File, err error) { return f, json.Unmarshal(b, &f) }
func parseFlow(b []byte) (f gateway.Flow, err error) { return f, json.Unmarshal(b, &f) }
