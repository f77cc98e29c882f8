// Command bench measures the built gateway against plain OpenSSH, and against
// nginx and Caddy, turn by turn in one run on one machine:
//
//	go run ./e2e/bench [-quick] [FAMILY ...]
//
// A family is named whole or by its first words: ssh is all of ssh.aes,
// ssh.chacha, ssh.setup, ssh.parallel, ssh.echo, ssh.idle and ssh.tail; https is
// https.rps, https.cpu, https.download, https.upload, https.p99 and https.ws; wg is
// wg.flow1, wg.flow8, wg.setup, wg.fair and wg.idle; gate is gate.ssh, gate.https, gate.wg, gate.stock, gate.cluster and gate.cluster.noredis. Each ends
// within two minutes, those of a cluster within five. -quick moves so little
// that it only shows that the bench itself works.
//
// It prints one line a figure, `name value unit baseline-value ratio`, and
// leaves them in bench.txt beside those of the families that were not asked
// for. The ratio says how many times as good as the baseline the gateway is;
// above 1 is better. The baseline is the same client at the same sshd without
// the gateway; with the suffix .jump it is `ssh -J` through a second sshd. With
// the suffix .inner the value is the gateway's own -J form and the baseline
// `ssh -J`. Every route has the same cipher and the same key exchange forced
// at the client. The form ACCOUNT+TARGET is measured with everything recorded.
//
// The families of https go to one console, a process of its own, over HTTP/1.1
// (h1) and HTTP/2 (h2): to it directly, or with the suffix .nginx or .caddy
// against these as plain reverse proxies of it. All show one certificate, over
// TLS 1.3 with one key exchange, never resumed; the gateway records, proves the
// account and looks answers through. rps and cpu are of small answers, 16 at
// once; p99 is of one request at a time, with p50 beside it, and its added the
// time over the direct way's, against Caddy's; download and upload are one
// long body; ws is memory for each idle WebSocket. The CPU and the memory of the
// direct way are the target's own.
//
// The families of wg need root: a tunnel's client is a wireguard-go with a TUN
// device in a network namespace, and the plant is another. The baseline is such
// a wireguard-go in the gateway's place, behind whose TUN device the kernel
// forwards; with the suffix .plain it is the kernel's forwarding without a
// tunnel. flow1 and flow8 are what iperf3 carries over one connection and over
// eight, up to the plant and down, with flows recorded and with the suffix
// .headers the headers of every packet too; cpu is of the process that ends the
// tunnel, so that the kernel's forwarding is not counted. Where there are many
// tunnels, and in wg.setup, both ways have the same clients in this process:
// wireguard-go with a network stack instead of a device, on sockets that take
// one datagram at a time. setup is from nothing to the plant's first byte:
// handshake, TCP, and 16 bytes there and back. fair is the p99 of a connection
// and 16 bytes there and back in each of 20 tunnels, while another one carries
// what one connection can; its baseline is the same beside wireguard-go, and
// that of fair.alone the gateway's own before. idle is memory for each of 1,000
// tunnels that send keepalives; after, that of the process once all have ended.
//
// Other baselines: of CPU, the sshd that serves the route; of ssh.idle.after,
// the same process fresh; of gate.ssh, a bare relay that shuts all its sockets
// at once; of gate.stock, kill -9 of the sshd that serves the clients.
//
// gate.https is 300 live streams of a vendor's consoles, then 2,000 of another
// vendor's, which the suffix tells: a third are WebSockets that tick ten times
// a second, a third event streams and a third slow downloads, the latter two
// half over HTTP/2. From the command's start on: byte, the last that came to
// the browsers; p99, median and last, the ends that they saw, against a bare
// relay that ends TLS on both sides and closes as many sockets at once. Bytes
// that came after the command's answer (after), streams that it left (left),
// those of a third vendor that were lost (lost). gap is the longest time
// between two of that vendor's messages while the order was carried out; its
// baseline, before it; gap.bare is that beside the relay. back are the requests
// that led in again, of 1,000 by five ways that were begun after the answer to
// an order, with the cookies of before; its baseline counts the ways, each of
// which opens before the order.
//
// gate.wg is 200 live tunnels of a vendor, then 500 of another one, which the
// suffix tells: in each a UDP flow that ticks ten times a second each way, and a
// TCP flow. The baseline removes as many peers in one command of wg. From the
// command's start on: byte, p99 and median, the last packet inside each tunnel
// that was delivered at either end; reset, the last end of a TCP flow, at the
// client or at the plant, that broke; of the baseline, which resets none, how
// long it was waited for, and so many hung. Packets that were sent after the
// command's answer and were delivered (after), tunnels that ticked on (left),
// whose client shook hands anew or had anything pass (back), those of a third
// vendor that were lost (lost). gap is the longest time between two ticks of one
// of that vendor's tunnels while the order was carried out; its baseline,
// before it; gap.tun is that beside the baseline.
//
// gate.cluster is three nodes with a PostgreSQL and a Redis of their own. 1,000
// sessions of one vendor and 300 of another are spread over them and held by
// this one process; the first vendor is suspended at the first node. From the
// order's commit on: byte, the last line that the clients read through each
// node. From the command's start on: p99, median and last, the ends that the
// clients saw, against a bare relay that shuts as many sockets at once; sshd,
// the p99 against as many session processes of an sshd that are killed. Lines
// that were printed after the command's answer (after), sessions that it left
// (left), the other vendor's that were lost (lost). The baseline of echo, the
// other vendor's p99 while the order is carried out, is the same before it;
// echo.bare is that beside the relay. back are the attempts that led in again,
// of 10,000 by eight ways, a fifth of them begun while the other vendor is
// suspended, the rest afterwards by both; its baseline counts the ways, each of
// which opens before the order. gate.cluster.noredis is the same order with
// Redis killed once the sessions were open.
//
// Figures of two runs compare by their ratios only. Nothing outside loopback
// is touched, every wait is bounded, and touches are given ahead as tickets by
// a key in software, which is not counted.
package main
