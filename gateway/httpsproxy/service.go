package httpsproxy

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Rules of a service account that is not let in.
const (
	ruleProof   = "service-account" // it has not proven itself
	ruleOnce    = "token-once"
	toldAgain   = 10 * time.Second // between two events about one account that is refused
	maxTold     = 1024             // accounts that are remembered for it
	openService = DialTime + ProveTime
)

// serviceKey is what one session of a service account is of. Its pin is in it:
// another key is another session.
type serviceKey struct{ person, pin, target string }

// serving is a session of a service account, or one that is being opened.
type serving struct {
	done    chan struct{} // closed once it is open or refused
	console *console
	refused *gateway.Error
}

type plainKey struct{}

// ServiceTLS is the listener's configuration, which asks for a client
// certificate at the hosts of service accounts alone: browsers, which never
// come there, would ask their users for one. It demands none, and whose it is
// its pin says.
func (p *Proxy) ServiceTLS(base *tls.Config) *tls.Config {
	out, asking := base.Clone(), base.Clone()
	asking.ClientAuth = tls.RequestClientCert
	out.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if strings.HasPrefix(p.targetOf(h.ServerName), gateway.ServicePrefix) {
			return asking, nil
		}
		return nil, nil
	}
	return out
}

// serveService answers one request of a service account, in the one session
// that it has under its grant, which the first request opens.
func (p *Proxy) serveService(w http.ResponseWriter, r *http.Request, target string, at **console) {
	r = r.WithContext(context.WithValue(r.Context(), plainKey{}, true))
	b := browserOf(r.Context())
	if b == nil {
		p.refuse(w, r, gateway.Internal(nil))
		return
	}
	who, proof, no := p.proven(r, target)
	if no != nil {
		p.refuseService(w, r, who, target, no)
		return
	}
	key := serviceKey{who.Name, who.Service.Pin(), target}
	for range 2 { // the session may end just now, and another be let
		c, no := p.serviceConsole(r, key, proof)
		if no != nil {
			p.refuseService(w, r, who, target, no)
			return
		}
		*at = c
		if no = c.enter(b); no == nil {
			defer c.leave(b)
			c.serve(w, r)
			return
		}
		if c.cause() == nil {
			p.refuse(w, r, no)
			return
		}
		select {
		case <-c.live.Done(): // what it has let pass is counted
		case <-r.Context().Done():
		}
		p.leaveService(key, c)
	}
	p.refuse(w, r, (*at).overError())
}

// proven is the service account that a request comes from. A token is taken out
// of the request: neither the target nor the recording has it.
func (p *Proxy) proven(r *http.Request, target string) (who gateway.Person, proof statement.ServiceProof, no *gateway.Error) {
	var err error
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case r.Context().Value(vouchedKey{}) != nil:
		no := gateway.Conflict("elsewhere", "another node has handed this over, and a service account proves itself to the node that serves it")
		no.Next = "send no cookie of the gateway"
		return who, "", no
	case r.TLS != nil && len(r.TLS.PeerCertificates) > 0:
		who, err = p.c.Accounts.ByCertificate(r.Context(), r.TLS.PeerCertificates[0])
		proof = statement.ByCertificate
	case strings.EqualFold(scheme, "Bearer") && len(r.Header["Authorization"]) == 1:
		r.Header.Del("Authorization")
		who, err = p.c.Accounts.ByToken(r.Context(), strings.TrimSpace(token), p.ServiceAddress(target))
		proof = statement.ByToken
	default:
		return who, "", &gateway.Error{Code: gateway.CodeSignIn, Rule: ruleProof, Text: "this host is for service accounts, and none has proven itself", Next: "show the client certificate on file, or send Authorization: Bearer with a signed token; people open consoles from the gateway's pages"}
	}
	if err != nil {
		return who, proof, gateway.AsError(err)
	}
	return who, proof, nil
}

// serviceConsole is the session of that account at that target. Of requests
// that come at once, one opens it and the others wait.
func (p *Proxy) serviceConsole(r *http.Request, key serviceKey, proof statement.ServiceProof) (*console, *gateway.Error) {
	p.mu.Lock()
	s := p.services[key]
	mine := s == nil
	if mine {
		s = &serving{done: make(chan struct{})}
		p.services[key] = s
	}
	p.mu.Unlock()
	if mine {
		p.openService(r, key, proof, s)
	}
	select {
	case <-s.done:
		return s.console, s.refused
	case <-r.Context().Done():
		return nil, gateway.Unavailable("session", context.Cause(r.Context()))
	}
}

func (p *Proxy) openService(r *http.Request, key serviceKey, proof statement.ServiceProof, s *serving) {
	s.refused = gateway.Internal(nil) // where a fault of ours gets in between
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.console == nil {
			delete(p.services, key)
		}
		close(s.done)
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), openService)
	defer cancel()
	c, err := p.beginService(ctx, r, key, proof)
	if err != nil {
		s.refused = gateway.AsError(err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.console, s.refused = c, nil
}

func (p *Proxy) beginService(ctx context.Context, r *http.Request, key serviceKey, proof statement.ServiceProof) (*console, error) {
	grant, touch, err := p.c.Accounts.Opening(ctx, key.person, key.target, proof, r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	live, err := p.c.Sessions.Open(ctx, Opening{Touch: touch, Person: key.person, Grant: grant, Protocol: gateway.KindHTTPS, Source: r.RemoteAddr, Client: printable(r.UserAgent())})
	if err != nil {
		return nil, err
	}
	c, err := p.newConsole(ctx, live, gateway.ServicePrefix+key.target+"."+p.c.Apps)
	if err != nil {
		return nil, p.notOpened(live, err)
	}
	c.service = key
	if !p.tended(c) {
		return nil, p.notOpened(live, &gateway.Ended{Reason: gateway.EndStopping})
	}
	return c, nil
}

// tended has a session's goroutine begin, unless the proxy is stopping.
func (p *Proxy) tended(c *console) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	p.running.Add(1)
	go c.tend()
	return true
}

// leaveService forgets a session that is over.
func (p *Proxy) leaveService(key serviceKey, c *console) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.services[key]; s != nil && s.console == c {
		delete(p.services, key)
	}
}

// refuseService says no to a service account, and writes the event where one is
// known that has proven its key: not for each of a thousand tries.
func (p *Proxy) refuseService(w http.ResponseWriter, r *http.Request, who gateway.Person, target string, no *gateway.Error) {
	if who.Name != "" && p.tells(who.Name+" "+no.Rule) {
		p.c.Sessions.Refuse(r.Context(), Refusal{Person: who.Name, Vendor: who.Vendor, Target: target, Source: r.RemoteAddr, Rule: no.Rule, Sentence: no.Sentence()})
	}
	status := statusOf(no)
	if no.Rule == ruleProof || no.Rule == ruleOnce {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 6750 clause 3
	}
	p.pages.refuse(w, r, status, no, p.c.Home)
}

func (p *Proxy) tells(what string) bool {
	now := p.c.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, ok := p.told[what]; ok && now.Sub(last) < toldAgain || !ok && len(p.told) >= maxTold {
		return false
	}
	p.told[what] = now
	return true
}
