package recording

import (
	"crypto/sha256"
	"encoding/json"
	"hash"
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

const (
	// FlowKeep is how many bytes of each direction of a forward are written.
	// What comes after is hashed and counted.
	FlowKeep = 256 << 10

	// FlowStep is how many bytes of either direction may pass before the flow
	// is told again: what a kill -9 may take from its counts.
	FlowStep = 1 << 20
)

// flow keeps the account of a forward. Both directions share one lock, because
// a flow frame is about both at one moment.
type flow struct {
	channel *Channel

	mu      sync.Mutex
	told    gateway.Flow // as the last frame has it
	out, in direction
	ended   bool // Exit has come; what still passes is told at once
	sealed  bool // nothing passes any more
}

// direction is one way of a flow. All of its numbers are bytes.
type direction struct {
	hash              hash.Hash // of all that passed
	bytes, kept, told int64
}

// add counts p, which is about to pass.
func (d *direction) add(p []byte) {
	d.hash.Write(p)
	d.bytes += int64(len(p))
}

func (d *direction) sum() (s gateway.Digest) {
	d.hash.Sum(s[:0])
	return s
}

func (c *Channel) beginFlow(ch gateway.Channel) error {
	f := &flow{
		channel: c, told: gateway.Flow{To: word(ch.To), From: word(ch.From)},
		out: direction{hash: sha256.New()}, in: direction{hash: sha256.New()},
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.flow = f
	c.rec.flowsMu.Lock()
	c.rec.flows[f] = struct{}{}
	c.rec.flowsMu.Unlock()
	return f.tell(c.rec.out.append)
}

// pass accounts for p, which passes once it has returned: the first bytes are
// written, all are hashed and counted, and the count is told before it is off
// by FlowStep.
func (f *flow) pass(j *journal, k kind, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sealed {
		return sayClosed(errSealed)
	}
	d := &f.out
	if k == kindInput {
		d = &f.in
	}
	keep := min(int64(len(p)), FlowKeep-d.kept)
	if err := f.channel.data(j, k, p[:keep]); err != nil {
		return err
	}
	d.kept += keep
	d.add(p)
	if f.ended || d.bytes-d.told >= FlowStep {
		return f.tell(f.channel.rec.out.append)
	}
	return nil
}

// tell writes a flow frame by way of append. The caller has the lock.
func (f *flow) tell(write func(k kind, channel uint32, payload []byte) error) error {
	f.told = gateway.Flow{
		To: f.told.To, From: f.told.From, Ended: f.ended,
		BytesIn: f.in.bytes, KeptIn: f.in.kept, SHA256In: f.in.sum(),
		BytesOut: f.out.bytes, KeptOut: f.out.kept, SHA256Out: f.out.sum(),
	}
	f.out.told, f.in.told = f.out.bytes, f.in.bytes
	raw, err := json.Marshal(f.told)
	if err != nil {
		return gateway.Internal(err)
	}
	return sayClosed(write(kindFlow, f.channel.id, raw))
}

// end tells the flow for the last time. A pump may bring bytes even after
// that: each is told with those.
func (f *flow) end() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil
	}
	f.ended = true
	if err := f.tell(f.channel.rec.out.append); err != nil {
		return err
	}
	r := f.channel.rec
	r.flowsMu.Lock()
	defer r.flowsMu.Unlock()
	delete(r.flows, f)
	return nil
}

// sealFlows tells the forwards that nobody has ended, between shut and close.
// A write that fails makes the recording an interrupted one.
func (r *Recorder) sealFlows() {
	r.flowsMu.Lock()
	var open []*flow
	for f := range r.flows {
		open = append(open, f)
	}
	r.flowsMu.Unlock() // end takes the two locks in the other order
	for _, f := range open {
		f.mu.Lock()
		f.sealed = true
		if f.out.bytes != f.out.told || f.in.bytes != f.in.told {
			_ = f.tell(r.out.appendLast)
		}
		f.mu.Unlock()
	}
}
