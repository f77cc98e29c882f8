package e2e

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestPagesOfATunnel: an engineer opens a tunnel in the browser by one touch;
// what the page gives turns a stock WireGuard on, the private key has gone
// nowhere, and the pages of the tunnel tell how it goes, while it lasts and
// after.
func TestPagesOfATunnel(t *testing.T) {
	t.Parallel()
	s := newTunnelStory(t, "headers")
	s.echoes()
	grant := s.networkGrant("ana", time.Hour, "hmi.plant:7/tcp", "plc-7.plant:502/tcp", "hmi.plant/icmp")
	var invited struct {
		Link string `json:"link"`
	}
	s.must(s.Machine().Act(s.ctx, "person.invite", map[string]string{"person": "ana"}, &invited))
	chrome := chromium(t)
	ana, ben, cleo := newSeat(t, chrome, s.URL), newSeat(t, chrome, s.URL), newSeat(t, chrome, s.URL)
	ana.enrol(invited.Link)
	ben.borrow(s.People["ben"])
	cleo.borrow(s.People["cleo"])
	ana.look(t, "tunnel-ana", "/tunnel/"+grant)

	complaints := ana.complaints()
	ana.open("/tunnel/" + grant)
	js[bool](ana, "(f => { URL.createObjectURL = b => { window.taken = b; return f.call(URL, b) }; return true })(URL.createObjectURL)")
	ana.press("Open tunnel")
	ana.touch("plc")
	ana.until("the configuration is shown", "document.querySelector('#tunnel-config')?.checkVisibility() && document.querySelector('#tunnel-qr svg')")
	conf := js[string](ana, "document.querySelector('#tunnel-text').textContent")
	if file := js[string](ana, "taken.text()"); file != conf {
		t.Errorf("the file and the text are two:\n%s\n%s", file, conf)
	}
	if name := js[string](ana, "document.querySelector('#tunnel-file').download"); name != "plc.conf" {
		t.Errorf("the file's name is %q", name)
	}
	blank := newSeat(t, chrome, s.URL)
	for _, l := range looks {
		ana.emulate(l.scheme)
		ana.do(chromedp.EmulateViewport(l.width, l.height))
		if read := ana.qr(blank, "#tunnel-qr svg"); read != conf {
			t.Errorf("%s: the file and the QR code are two:\n%s\n%s", l.name, conf, read)
		}
		ana.fits(t, l.name)
		ana.axe(t, l.name)
		ana.shot(t, "tunnel-opened-"+l.name)
	}
	_, key, _ := strings.Cut(conf, "PrivateKey = ")
	key, _, _ = strings.Cut(key, "\n")

	site, err := s.lab.Site("ana")
	s.must(err)
	s.must(site.Up(s.ctx, conf))
	c := s.dial(site)
	if c, err := site.Dial(s.ctx, "tcp", net.JoinHostPort(s.lab.IP(1), "22")); err == nil {
		c.Close()
		t.Error("a flow that was not granted opened")
	}
	ana.press("See how it goes")
	for _, words := range []string{"up", "Last handshake", site.Home(), "hmi.plant", s.lab.IP(0) + ":7/tcp", s.lab.IP(1) + ":22/tcp", "Ask for it"} {
		ana.reads(words)
	}
	for _, x := range complaints() {
		t.Errorf("the browser complains: %s", x)
	}
	session := s.sessions()[0].ID
	ana.look(t, "tunnel-live-ana", "/sessions/"+session)
	ben.look(t, "tunnel-live-ben", "/sessions/"+session)
	ana.open("/sessions/" + session)
	ana.press("Ask for it")
	ana.until("the request names the flow", "document.querySelector('#flows')?.value.includes('plc-7.plant:22/tcp')")
	ana.shot(t, "tunnel-ask")

	s.must(c.Close())
	s.must(s.People["ben"].Post(s.ctx, "/api/v1/sessions/"+session+"/end", map[string]any{}, nil))
	s.ended(session)
	ana.look(t, "tunnel-ended-ana", "/sessions/"+session)
	ana.reads("ended")
	cleo.look(t, "tunnel-cleo", "/recordings/"+session)
	cleo.reads("hmi.plant")
	s.canaries(key)
	s.verified()
}
