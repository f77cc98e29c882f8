package httpsproxy

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
)

func newFrameReader(p []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(p)) }

// acceptOf is a server's answer to a handshake's key.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
