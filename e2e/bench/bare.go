package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

// dropBare is the order's baseline: a relay before the same target that shuts
// all its sockets when it is told, while as many sessions of others as there
// are go on over a second one.
func (l *lab) dropBare(ctx context.Context) (d clusterDrop, err error) {
	open := func(n int, command, mark string, took func(*held, []byte)) (*part, []*held, error) {
		p, err := startPart(ctx, relayCommand, l.ticker.said[0])
		if err != nil {
			return nil, nil, err
		}
		r := route{name: "relay", touch: untouched, dial: func(context.Context) (*ssh.Client, error) {
			return dial(l.client, "ops", p.said[0], ssh.CipherAES128GCM, nil)
		}}
		all, err := hold(ctx, r, n, command, mark, took)
		return p, all, err
	}
	other, others, err := open(l.volume.others, echoCommand, upMark, noteEcho)
	defer func() { leave(others); other.stop() }()
	if err != nil {
		return d, err
	}
	told, all, err := open(l.volume.cluster, slowCommand, tickMark, noteTicks)
	defer func() { leave(all); told.stop() }()
	if err != nil {
		return d, err
	}
	cmd := exec.CommandContext(ctx, "kill", "-USR1", fmt.Sprint(told.cmd.Process.Pid))
	err = d.drop(ctx, [][]*held{all}, others, cmd, nil)
	return d, err
}

// dropSSHD is the other one: kill -9 of the processes of an sshd that serve as
// many sessions.
func (l *lab) dropSSHD(ctx context.Context) (d dropped, err error) {
	r := route{name: "sshd", touch: untouched, dial: func(context.Context) (*ssh.Client, error) {
		return dial(l.client, l.Plant.Login, l.Plant.Addr, ssh.CipherAES128GCM, nil)
	}}
	all, err := hold(ctx, r, l.volume.cluster, "echo "+upMark+"; exec cat", upMark, nil)
	defer func() { leave(all) }()
	if err != nil {
		return d, err
	}
	select {
	case <-time.After(gateQuiet):
	case <-ctx.Done():
		return d, ctx.Err()
	}
	kill := []string{"-9"}
	for _, pid := range rig.Children(l.Plant.PID()) {
		kill = append(kill, fmt.Sprint(pid))
	}
	err = d.end(ctx, "sshd", all, exec.CommandContext(ctx, "kill", kill...))
	return d, err
}

func untouched(context.Context) error { return nil }
