package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

type initCmd struct {
	URL   string   `help:"Where people will reach the pages." default:"http://localhost:8080" placeholder:"https://HOST"`
	Name  string   `help:"The first administrator's name." default:"admin"`
	Title string   `help:"What people call the administrator." default:"First administrator"`
	Email string   `help:"The administrator's mail address."`
	Roles []string `help:"The administrator's roles." default:"admin"`
}

// Run writes what a gateway needs to start, and prints the first
// administrator's link. It may be run again: what is there stays, and a fresh
// link is printed while the administrator has no key.
func (c *initCmd) Run(r *run) error {
	cfg, fresh, err := c.prepare(r)
	if err != nil {
		return err
	}
	if answers(r.ctx, cfg.Socket()) {
		return hinted(errors.New("the gateway is running"), "print a fresh link with `portcullis invite "+c.Name+"`")
	}
	rooms, err := open(cfg, slog.New(slog.NewTextHandler(r.errOut, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	link, err := c.admit(r.ctx, rooms)
	if err = errors.Join(err, rooms.close()); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, map[string]string{"config": r.Config, "data": cfg.Data, "root": rooms.machine.Root(), "url": cfg.URL, "link": link})
	}
	what := "Kept"
	if fresh {
		what = "Wrote"
	}
	fmt.Fprintf(r.out, "%s %s; data in %s.\n\n", what, r.Config, cfg.Data)
	fmt.Fprintf(r.out, "Start the gateway:\n    portcullis serve --config %s\n\n", r.Config)
	_, err = fmt.Fprintf(r.out, "Then open this link within 24 hours and touch a security key to become %s:\n    %s\n", c.Name, link)
	return err
}

// prepare reads the configuration or writes a first one, with this machine's
// key as its root.
func (c *initCmd) prepare(r *run) (cfg Config, fresh bool, err error) {
	cfg, err = LoadConfig(r.Config)
	if err == nil && len(cfg.Roots) == 0 {
		return c.addRoot(r, cfg)
	}
	if err == nil {
		return cfg, false, c.isRoot(r, cfg)
	}
	if _, statErr := os.Stat(r.Config); !errors.Is(statErr, os.ErrNotExist) {
		return cfg, false, err
	}
	data := r.Data
	if data == "" {
		data = "/var/lib/portcullis"
	}
	if data, err = filepath.Abs(data); err != nil {
		return cfg, false, err
	}
	keys, err := openKeysIn(data)
	if err != nil {
		return cfg, false, err
	}
	root := machineRoot(keys)
	raw, err := yaml.Marshal(struct {
		URL   string   `yaml:"url"`
		Data  string   `yaml:"data"`
		Roots []string `yaml:"roots"`
	}{c.URL, data, []string{root}})
	if err != nil {
		return cfg, false, err
	}
	if cfg, err = ParseConfig(raw); err != nil {
		return cfg, false, err
	}
	if err := os.MkdirAll(filepath.Dir(r.Config), 0o755); err != nil {
		return cfg, false, err
	}
	f, err := os.OpenFile(r.Config, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // the configuration holds no secret
	if err != nil {
		return cfg, false, err
	}
	_, err = f.Write(append([]byte("# Portcullis. Every field: `portcullis serve --help`, README.md.\n"), raw...))
	return cfg, true, errors.Join(err, f.Sync(), f.Close())
}

// addRoot appends this machine's key to a configuration that names no root
// yet: the operator has written the rest by hand.
func (c *initCmd) addRoot(r *run, cfg Config) (Config, bool, error) {
	keys, err := openKeysIn(cfg.Data)
	if err != nil {
		return cfg, false, err
	}
	old, err := os.ReadFile(r.Config)
	if err != nil {
		return cfg, false, err
	}
	raw := append(bytes.TrimRight(old, "\n"), fmt.Appendf(nil, "\nroots:\n  - %q\n", machineRoot(keys))...)
	if cfg, err = ParseConfig(raw); err != nil {
		return cfg, false, hinted(fmt.Errorf("add this machine's key to %s: %w", r.Config, err), "write it there yourself, under roots: "+machineRoot(keys))
	}
	return cfg, true, replaceFile(r.Config, raw)
}

// replaceFile writes a file whole or not at all, with the mode of the old one.
func replaceFile(path string, raw []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".portcullis-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already if all went well
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (c *initCmd) isRoot(r *run, cfg Config) error {
	keys, err := openKeysIn(cfg.Data)
	if err != nil {
		return err
	}
	root := machineRoot(keys)
	if !slices.Contains(cfg.Roots, root) {
		return hinted(fmt.Errorf("%s does not name this machine's key among its roots, so nothing it signs would be believed", r.Config), "add to roots: "+root)
	}
	return nil
}

// keysIn opens the keys of a gateway that has made them, and makes none.
func keysIn(data string) (*certs.Authority, error) {
	if _, err := os.Stat(filepath.Join(data, "keys")); err != nil {
		return nil, hinted(fmt.Errorf("no keys in %s", data), "`portcullis init` makes them")
	}
	return certs.Open(filepath.Join(data, "keys"))
}

func openKeysIn(data string) (*certs.Authority, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	return certs.Open(filepath.Join(data, "keys"))
}

func machineRoot(keys *certs.Authority) string {
	return statement.MachineKey{Private: keys.MachineKey()}.Root()
}

// admit admits the first administrator, signed by the machine, and invites.
func (c *initCmd) admit(ctx context.Context, rooms *rooms) (string, error) {
	var roles []gateway.Role
	for _, x := range c.Roles {
		for _, y := range strings.Split(x, ",") {
			roles = append(roles, gateway.Role(strings.TrimSpace(y)))
		}
	}
	return rooms.firstAdmin(ctx, statement.PersonAdmit{Name: c.Name, Title: c.Title, Email: c.Email, Roles: roles})
}

// firstAdmin admits a person unless that was done before, and returns a link
// unless the person has a key already.
func (r *rooms) firstAdmin(ctx context.Context, who statement.PersonAdmit) (string, error) {
	_, err := r.directory.Person(ctx, who.Name)
	switch {
	case gateway.IsCode(err, gateway.CodeNotFound), errors.Is(err, gateway.ErrNotFound):
		body, err := r.directory.DraftPerson(ctx, who)
		if err != nil {
			return "", err
		}
		if err := r.commit(ctx, body, r.directory.Commit); err != nil {
			return "", err
		}
	case err != nil:
		return "", err
	}
	keys, _, err := r.identity.Keys(ctx, who.Name)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(keys, func(k gateway.Authenticator) bool { return k.Removed.IsZero() }) {
		return "", hinted(fmt.Errorf("%s has a key already", who.Name), "start the gateway; if the key is lost, print a link with `portcullis invite "+who.Name+"`")
	}
	return r.invite(ctx, who.Name)
}

// invite makes a one-time link, signed by the machine.
func (r *rooms) invite(ctx context.Context, person string) (string, error) {
	body, token, err := r.identity.DraftInvite(ctx, gateway.Person{Name: statement.Machine}, person)
	if err != nil {
		return "", err
	}
	err = r.commit(ctx, body, func(ctx context.Context, s statement.Signed) (any, error) { return r.identity.CommitInvite(ctx, s) })
	return r.inviteLink(token), err
}

// commit has the machine sign a body and does what it says.
func (r *rooms) commit(ctx context.Context, body statement.Body, do func(context.Context, statement.Signed) (any, error)) error {
	signed, err := r.sign(body)
	if err != nil {
		return err
	}
	_, err = do(ctx, signed)
	return err
}
