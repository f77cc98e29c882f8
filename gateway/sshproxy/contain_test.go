package sshproxy_test

import (
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// V-71: what one engineer sends finds a fault in the gateway. His session ends
// as by a fault of the gateway; another one goes on as if nothing had been.
func TestPanicIsOnesOwn(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	bystander, err := w.client("root+pump-7")
	if err != nil {
		t.Fatal(err)
	}
	defer bystander.Close()
	s, err := bystander.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("cat"); err != nil {
		t.Fatal(err)
	}
	other := w.lastLive()

	c, err := w.client("root+pump-7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bad, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := bad.Run(faulty); err == nil {
		t.Error("the command ran")
	}
	if e := w.done(w.lastLive()); e.Reason != gateway.EndFault {
		t.Errorf("ended by %v", e)
	}

	if _, err := in.Write([]byte("still here\n")); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, len("still here\n"))
	if _, err := out.Read(echo); err != nil || string(echo) != "still here\n" {
		t.Errorf("the bystander reads %q, %v", echo, err)
	}
	if other.Context().Err() != nil {
		t.Error("the bystander's session ended")
	}
}
