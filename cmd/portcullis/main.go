package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// defaultConfig is where the configuration is looked for.
const defaultConfig = "/etc/portcullis/portcullis.yaml"

// cli is the command line. Commands are one file each.
type cli struct {
	globals

	Serve serveCmd `cmd:"" help:"Run the gateway."`
	Demo  demoCmd  `cmd:"" help:"Run the gateway with a small sample plant on this machine."`
	Init  initCmd  `cmd:"" help:"Write a configuration, make the machine's keys and print the first administrator's link."`

	Node nodeCmd `cmd:"" help:"Make another node of this gateway's cluster."`

	Apply  applyCmd  `cmd:"" help:"Bring vendors, people and targets to what a file says."`
	Export exportCmd `cmd:"" help:"Print vendors, people and targets as a file that apply takes."`
	Invite inviteCmd `cmd:"" help:"Print a one-time link with which a person enrols a first key."`

	Suspend     suspendCmd     `cmd:"" help:"Drop the gate on vendors, a person, a target, a zone, a protocol or all: nothing new gets in, and what is live ends."`
	Restore     restoreGroup   `cmd:"" help:"Let in again what was suspended: sign its restoration, or its next stage."`
	Suspensions suspensionsCmd `cmd:"" help:"List suspensions, or print one report."`
	Suspension  suspensionCmd  `cmd:"" help:"Prove a suspension: what was closed, which ways back in were tried, who was turned away."`
	Verify      verifyCmd      `cmd:"" help:"Verify the proof of a suspension, offline."`

	Order orderCmd `cmd:"" help:"Orders of suspension that are signed ahead, for whoever hands them in."`
	Token tokenCmd `cmd:"" help:"Tokens with which a machine elsewhere can order suspensions, and nothing else."`

	Sessions sessionsCmd `cmd:"" help:"List sessions."`
	Session  sessionCmd  `cmd:"" help:"Show, freeze, thaw or end one session."`
	Requests requestsCmd `cmd:"" help:"List requests."`
	Grants   grantsCmd   `cmd:"" help:"List grants."`
	Grant    grantCmd    `cmd:"" help:"Take one grant back."`
	Vendors  vendorsCmd  `cmd:"" help:"List vendors."`
	Targets  targetsCmd  `cmd:"" help:"List targets."`
	People   peopleCmd   `cmd:"" help:"List people."`
	Services servicesCmd `cmd:"" help:"List service accounts, the vendors' machines."`

	Recordings recordingsCmd `cmd:"" help:"List recordings."`
	Recording  recordingCmd  `cmd:"" help:"Play, export or search recordings."`

	Secrets secretsCmd `cmd:"" help:"Say which sessions had which targets' credentials, and what is to be rotated; never shows one."`

	Touch touchCmd `cmd:"" help:"Give the touch for one connection with an SSH security key, without a browser."`

	Tunnel tunnelCmd `cmd:"" help:"Open a WireGuard tunnel to a network, by a touch in the browser, and write its configuration."`
	Login  loginCmd  `cmd:"" help:"Sign in for an SSH certificate of a fresh key, by a touch in the browser: for a grant's window, and eight hours at most."`

	Audit  auditCmd  `cmd:"" help:"Read and verify the audit log."`
	Policy policyCmd `cmd:"" help:"Check the policy, or explain what it would say."`
	Doctor doctorCmd `cmd:"" help:"Say what is wrong with this deployment, and the cure."`

	SSHConfig sshConfigCmd `cmd:"" name:"ssh-config" help:"Print what an engineer's ssh_config and known_hosts need to jump through the gateway."`

	Version versionCmd `cmd:"" help:"Print the version."`
}

// globals are the flags that every command takes.
type globals struct {
	Config string `help:"Configuration file." default:"${config}" env:"PORTCULLIS_CONFIG" type:"path" placeholder:"FILE"`
	Data   string `help:"Data folder of the gateway to talk to; from the configuration by default." env:"PORTCULLIS_DATA" type:"path" placeholder:"DIR"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// run is what a command runs in.
type run struct {
	globals
	ctx         context.Context
	stdin       io.Reader
	out, errOut io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// execute parses the arguments, runs the command and returns the exit status.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) (status int) {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("portcullis"), kong.UsageOnError(), kong.Writers(out, errOut),
		kong.Description("Vendor remote access with just-in-time elevation: nothing is open until a person asks, others agree, and the engineer touches a key."),
		kong.Vars{"config": defaultConfig}, kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(code int) { exited = code; panic(helpShown{}) }))
	if err != nil {
		return report(errOut, err)
	}
	defer func() { // --help has printed and asks to exit
		if r := recover(); r != nil {
			if _, ok := r.(helpShown); !ok {
				panic(r)
			}
			status = exited
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		return report(errOut, usageError{err})
	}
	r := &run{globals: c.globals, ctx: ctx, stdin: in, out: out, errOut: errOut}
	return report(errOut, k.Run(r))
}

type helpShown struct{}

// config loads the configuration of the gateway that the command is about.
func (r *run) config() (Config, error) { return LoadConfig(r.Config) }

// socket finds the local socket: of --data, else of the configuration.
func (r *run) socket() (string, error) {
	if r.Data != "" {
		return filepath.Join(r.Data, "portcullis.sock"), nil
	}
	cfg, err := r.config()
	if err != nil {
		var h *hintError
		if errors.As(err, &h) {
			return "", hinted(h.error, "name the configuration with --config, or the gateway's data folder with --data")
		}
		return "", err
	}
	return cfg.Socket(), nil
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(r *run) error {
	_, err := fmt.Fprintln(r.out, "portcullis", version())
	return err
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

// configOf is the configuration of the gateway that the command is about: of
// --config, or the one that a gateway keeps in --data (the demo's).
func (r *run) configOf() (Config, error) {
	if r.Data != "" {
		if own := filepath.Join(r.Data, "portcullis.yaml"); r.Config == defaultConfig {
			return LoadConfig(own)
		}
	}
	return r.config()
}
