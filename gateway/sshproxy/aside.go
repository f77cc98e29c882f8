package sshproxy

// maxEarly bounds the requests that are refused before there is a session to
// write their events to.
const maxEarly = 8

// refuseAside refuses a global request. The answer to one has no room for a
// sentence, so that stands on the stderr of a channel: of one that runs, or of
// the next that begins, because clients ask for forwards first.
func (c *conn) refuseAside(what, why string) {
	if c.live == nil {
		if len(c.early) < maxEarly {
			c.early = append(c.early, what)
		}
	} else {
		c.refusedOpen(what, why)
	}
	for _, ch := range c.carried() {
		if ch.aside(why) {
			return
		}
	}
	c.mu.Lock()
	c.unsaid = why
	c.mu.Unlock()
}

// tellEarly writes the events of what was refused while the connection was
// held.
func (c *conn) tellEarly() {
	for _, what := range c.early {
		c.refusedOpen(what, notCarried["forwarded-tcpip"])
	}
	c.early = nil
}

// unsaidNow takes the sentence that waits for a channel.
func (c *conn) unsaidNow() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	why := c.unsaid
	c.unsaid = ""
	return why
}

// aside shows a sentence beside what the channel carries, if it has begun.
func (ch *channel) aside(text string) bool {
	ch.ctl.Lock()
	speak := ch.started && !ch.over
	rec := ch.rec
	ch.ctl.Unlock()
	if !speak {
		return false
	}
	rec.Note(text)
	_, _ = locked{&ch.err, ch.client.Stderr()}.Write([]byte(line(text)))
	return true
}
