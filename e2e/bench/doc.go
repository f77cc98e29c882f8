// Command bench measures the built gateway against plain OpenSSH, turn by
// turn in one run on one machine:
//
//	go run ./e2e/bench [-quick] [FAMILY ...]
//
// A family is named whole or by its first words: ssh is all of ssh.aes,
// ssh.chacha, ssh.setup, ssh.parallel, ssh.echo, ssh.idle and ssh.tail; gate
// is gate.ssh and gate.stock. Each ends within two minutes. -quick moves so
// little that it only shows that the bench itself works.
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
// Other baselines: of CPU, the sshd that serves the route; of ssh.idle.after,
// the same process fresh; of gate.ssh, a bare relay that shuts all its sockets
// at once; of gate.stock, kill -9 of the sshd that serves the clients.
//
// Figures of two runs compare by their ratios only. Nothing outside loopback
// is touched, every wait is bounded, and touches are given ahead as tickets by
// a key in software, which is not counted.
package main
