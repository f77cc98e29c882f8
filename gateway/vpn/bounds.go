package vpn

import "time"

// Bounds and times.
const (
	MTU             = 1420             // of the tunnel: what is left of 1500 with IPv6 outside
	MaxTunnels      = 10000            // of one node
	MaxFlows        = 512              // of one tunnel at once, TCP, UDP and echo together
	MaxHalfOpen     = 64               // of those, TCP before the client's handshake is complete
	MaxEcho         = 32               // of those, echo
	FlowRate        = 200              // new flows a second of one tunnel, of those that the grant lets
	FlowBurst       = 400              // of those at once
	FragmentRate    = 2000             // fragments a second of one tunnel
	FragmentBurst   = 2000             // of those at once
	RefusalRate     = 1000             // ICMP refusals a second of one tunnel
	RefusalBurst    = 1000             // of those at once
	DNSRate         = 50               // answers a second of one tunnel
	DNSBurst        = 100              // of those at once
	MaxQuestions    = 256              // that one session's recording tells of
	TellRate        = 1                // refused flows a second that are told one by one, of one tunnel
	TellBurst       = 64               // of those at once; the others are told together
	MaxRefusedHosts = 64               // hosts whose refused flows are summed apart
	MaxTellRefused  = 4096             // records of refused flows of one session
	MaxPending      = 16               // datagrams of a UDP flow that wait for its socket
	QueueBytes      = 4 << 20          // towards one client
	QueueShort      = 512 << 10        // of those; above it, no flow gives the stack more
	RefusedKept     = 32               // for the tunnel's page
	FlowsShown      = 64               // on it
	NoticesKept     = 8                // on it
	FlowStep        = 4 << 20          // bytes of a flow after which it is told again
	DialTime        = 10 * time.Second // to reach a target
	HalfOpenTime    = 15 * time.Second // for a client to complete its handshake: the stack would try for two minutes
	TCPIdleTime     = time.Hour        // a connection without a byte
	HalfIdleTime    = 10 * time.Minute // one that a side has closed
	UDPIdleTime     = 3 * time.Minute
	EchoIdleTime    = 15 * time.Second
	SilentTime      = 3 * time.Minute        // without a word of the peer: its keys are worth nothing by then (REJECT_AFTER_TIME)
	EndedTime       = time.Hour              // an ended session is remembered, for its page
	MaxEnded        = 4096                   // of those
	RestTime        = time.Second            // for flows of a swept session to lie still
	ResetTime       = 500 * time.Millisecond // a cut peer is kept for its resets to leave
	RoamWindow      = 10 * time.Second
	MaxRoams        = 20 // changes of the outer address within RoamWindow: two ends use one key
	alarmPercent    = 80
	tendEvery       = 5 * time.Second
	ownEvery        = 5 * time.Second // the machine's addresses are read again
	takeAgain       = 5 * time.Millisecond
	synRetries      = 3
	bulk            = 64 << 10 // one read of a pump
	timestampSize   = 12       // of TCP's option, padded (RFC 7323 appendix A)
	together        = 45       // full packets that the kernel takes as one datagram to cut
)
