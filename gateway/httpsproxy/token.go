package httpsproxy

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// nodeChars are what a node's name is made of, so that it can stand in a
// cookie.
const nodeChars = "abcdefghijklmnopqrstuvwxyz0123456789.-"

// secretHash is what is kept of a link's or a cookie's secret.
type secretHash [sha256.Size]byte

// link is a hand-over that waits for the browser.
type link struct {
	console *console
	path    string // where it leads
	until   time.Time
}

// ending is a session that was, for its closing page.
type ending struct {
	session string
	target  string
	why     *gateway.Ended
	until   time.Time
}

// newSecret makes NODE.SECRET, of which 256 bits are random, and what is kept
// of it.
func (p *Proxy) newSecret() (value string, hash secretHash) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	secret := base64.RawURLEncoding.EncodeToString(b[:])
	return p.c.Node + "." + secret, hashOf(secret)
}

func hashOf(secret string) secretHash { return sha256.Sum256([]byte(secret)) }

// parseSecret reads NODE.SECRET.
func parseSecret(value string) (node string, hash secretHash, ok bool) {
	i := strings.LastIndexByte(value, '.')
	if i < 0 || len(value)-i-1 != base64.RawURLEncoding.EncodedLen(32) || strings.Trim(value[:i], nodeChars) != "" {
		return "", secretHash{}, false
	}
	return value[:i], hashOf(value[i+1:]), true
}

// Node is the node whose session a request is of, by its cookie or its link;
// empty: it has neither.
func (p *Proxy) Node(r *http.Request) string {
	if r.URL.Path == enterPath && r.Method == http.MethodPost {
		return r.URL.Query().Get("node")
	}
	_, own := splitCookies(r.Header["Cookie"], nil)
	for _, c := range own {
		if c.name != p.cookieName() {
			continue
		}
		if node, _, ok := parseSecret(c.value); ok {
			return node
		}
	}
	return ""
}

// Entered are the sessions whose cookies this node knows: live ones, and those
// that ended within EndedTime.
func (p *Proxy) Entered() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, c := range p.consoles {
		all = append(all, c.live.ID())
	}
	for _, e := range p.ended {
		all = append(all, e.session)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Judge says what a request with the session's cookie would be told. Nil means
// that it would be carried.
func (p *Proxy) Judge(session string) *gateway.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.consoles {
		if c.live.ID() != session {
			continue
		}
		if c.cause() == nil {
			return nil
		}
		return c.overError()
	}
	for _, e := range p.ended {
		if e.session == session {
			return endedError(e.why)
		}
	}
	return noSession()
}
