// Command bench measures the built gateway against plain OpenSSH, turn by
// turn in one run on one machine:
//
//	go run ./e2e/bench [ssh|gate]
//
// It prints one line a figure, `name value unit baseline-value ratio`, and
// leaves them in bench.txt. The ratio says how many times as good as the
// baseline the gateway is; above 1 is better. The baseline is the same client
// at the same sshd without the gateway; with the suffix .jump it is `ssh -J`
// through a second sshd. gate.ssh has a bare relay that shuts all its sockets
// at once.
//
// Figures of two runs compare by their ratios only. Nothing outside loopback
// is touched, every wait is bounded, and touches are given ahead as tickets by
// a key in software.
package main
