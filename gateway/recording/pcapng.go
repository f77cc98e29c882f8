package recording

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Blocks, options and values of draft-ietf-opsawg-pcapng, clause by clause.
// Blocks, options and values of draft-ietf-opsawg-pcapng.
const (
	sectionHeader   = 0x0a0d0d0a // clause 4.1
	interfaceBlock  = 1          // 4.2
	statisticsBlock = 5          // 4.6
	packetBlock     = 6          // 4.3

	optComment     = 1 // of every block
	optApplication = 4 // shb_userappl
	optName        = 2 // if_name
	optResolution  = 9 // if_tsresol
	optFlags       = 2 // epb_flags
	optReceived    = 4 // isb_ifrecv

	byteOrder     = 0x1a2b3c4d
	unknownLength = ^uint64(0) // of a section that is written as it comes
	linkRaw       = 101        // LINKTYPE_RAW: each packet begins with its IP header
	microseconds  = 6          // ten to the minus so much of a second
	inbound       = 1          // from the engineer
	outbound      = 2

	maxComment = 4096 // bytes
)

// Capture writes the packets inside a tunnel as pcapng, in the order in which
// they passed, of a live one up to now. What the rule kept of a packet stands
// with the packet's own length. The section names the session, its target and
// application, which is what wrote the file: no person. It ends with a
// statistics block, which says if the recording was cut short; a file without
// one is no whole answer. Captures hold whatever passed, passwords too: they
// are for the few whom the caller lets. A damaged recording is written up to
// the damage, and the error names it.
func (v *Vault) Capture(ctx context.Context, w io.Writer, session, application string) error {
	info, err := v.Find(session)
	if err != nil {
		return err
	}
	dir, err := v.find(session)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 64<<10)
	c := &capturer{w: b, begun: info.Begun, last: info.Begun}
	c.open(info, application)
	tape := newTape(dir, input)
	defer tape.close()
	end, err := tellAll(ctx, tape, c.frame)
	if err != nil {
		return err
	}
	c.close(info, end)
	if err := b.Flush(); err != nil {
		return err
	}
	return v.damaged(dir, end)
}

// capturer writes one pcapng section, little-endian as most machines are. What
// could not be written is said by its writer's Flush.
type capturer struct {
	w       *bufio.Writer
	begun   time.Time
	last    time.Time // of a packet
	packets uint64
	fixed   []byte // of the block being put together
	options []byte // of it
	head    [8]byte
	zeros   [4]byte
}

// open writes the section's header and the one interface: raw IP.
func (c *capturer) open(info Info, application string) {
	le := binary.LittleEndian
	c.fixed = le.AppendUint32(c.fixed, byteOrder)
	c.fixed = le.AppendUint16(c.fixed, 1) // version 1.0
	c.fixed = le.AppendUint16(c.fixed, 0)
	c.fixed = le.AppendUint64(c.fixed, unknownLength)
	c.option(optComment, []byte("session "+info.Session+" at target "+info.Target))
	c.option(optApplication, []byte(application))
	c.write(sectionHeader, nil)
	c.fixed = le.AppendUint16(c.fixed, linkRaw)
	c.fixed = le.AppendUint16(c.fixed, 0)
	c.fixed = le.AppendUint32(c.fixed, 0) // no limit for all: each packet says its own length
	c.option(optName, []byte("tunnel"))
	c.option(optResolution, []byte{microseconds})
	c.write(interfaceBlock, nil)
}

func (c *capturer) frame(f frame) error {
	if f.kind != kindPackets {
		return nil
	}
	c.last = c.begun.Add(f.at)
	for p, err := range packetsOf(f.payload) {
		if err != nil {
			break // Verify is there to complain
		}
		c.packet(p)
	}
	_, err := c.w.Write(nil) // who left is not written to on and on
	return err
}

func (c *capturer) packet(p gateway.Packet) {
	c.packets++
	c.stamp()
	c.fixed = binary.LittleEndian.AppendUint32(c.fixed, uint32(len(p.Data)))
	c.fixed = binary.LittleEndian.AppendUint32(c.fixed, uint32(p.Length))
	direction := byte(outbound)
	if p.In {
		direction = inbound
	}
	c.options = append(c.options, optFlags, 0, 4, 0, direction, 0, 0, 0)
	c.write(packetBlock, p.Data)
}

// stamp begins a block with its interface and the last packet's time, the high
// half first (4.3).
func (c *capturer) stamp() {
	at := uint64(c.last.UnixMicro())
	c.fixed = binary.LittleEndian.AppendUint32(c.fixed, 0)
	c.fixed = binary.LittleEndian.AppendUint32(c.fixed, uint32(at>>32))
	c.fixed = binary.LittleEndian.AppendUint32(c.fixed, uint32(at))
}

// close writes how many packets there are, and why there may be no more.
func (c *capturer) close(info Info, end error) {
	c.stamp()
	if why := info.cutShort(end); why != "" {
		c.option(optComment, []byte(why[:min(len(why), maxComment)]))
	}
	c.option(optReceived, binary.LittleEndian.AppendUint64(nil, c.packets))
	c.write(statisticsBlock, nil)
}

// option adds an option to the block (3.5).
func (c *capturer) option(code uint16, value []byte) {
	c.options = binary.LittleEndian.AppendUint16(c.options, code)
	c.options = binary.LittleEndian.AppendUint16(c.options, uint16(len(value)))
	c.options = append(append(c.options, value...), c.padding(len(value))...)
}

// write writes the block (3.1), with data between its fields and its options.
func (c *capturer) write(kind uint32, data []byte) {
	c.options = append(c.options, c.zeros[:]...) // opt_endofopt
	pad := c.padding(len(data))
	binary.LittleEndian.PutUint32(c.head[:], kind)
	binary.LittleEndian.PutUint32(c.head[4:], uint32(len(c.head)+len(c.fixed)+len(data)+len(pad)+len(c.options)+4))
	for _, p := range [...][]byte{c.head[:], c.fixed, data, pad, c.options, c.head[4:]} {
		_, _ = c.w.Write(p) // the first error stays with the writer
	}
	c.fixed, c.options = c.fixed[:0], c.options[:0]
}

// padding fills up to a multiple of four bytes.
func (c *capturer) padding(n int) []byte { return c.zeros[:-n&3] }
