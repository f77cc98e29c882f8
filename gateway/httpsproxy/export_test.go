package httpsproxy

import (
	"bufio"
	"bytes"
)

func newFrameReader(p []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(p)) }
