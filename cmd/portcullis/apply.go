package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// maxApply bounds the file that apply takes.
const maxApply = 1 << 20

type applyCmd struct {
	File   string `short:"f" help:"The file; - for standard input." required:"" placeholder:"FILE"`
	DryRun bool   `help:"Show what would change, and change nothing."`
}

// Run applies a file of vendors, people and targets.
func (a *applyCmd) Run(r *run) error {
	raw, err := a.read(r.stdin)
	if err != nil {
		return err
	}
	c, err := r.client()
	if err != nil {
		return err
	}
	path := "/local/apply"
	if a.DryRun {
		path += "?dry_run=true"
	}
	var changes []directory.Change
	if err := c.do(r.ctx, http.MethodPost, path, raw, &changes); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, changes)
	}
	changed := 0
	for _, ch := range changes {
		if ch.Action == "unchanged" {
			continue
		}
		changed++
		fmt.Fprintf(r.out, "%s %s %s\n", ch.Kind, printable(ch.Name), ch.Action)
		for _, l := range ch.Lines {
			fmt.Fprintf(r.out, "    %s\n", printable(l))
		}
	}
	would := ""
	if a.DryRun {
		would = " would be"
	}
	_, err = fmt.Fprintf(r.out, "%d%s changed, %d as they are.\n", changed, would, len(changes)-changed)
	return err
}

func (a *applyCmd) read(stdin io.Reader) ([]byte, error) {
	in := stdin
	if a.File != "-" {
		f, err := os.Open(a.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxApply+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", a.File, err)
	case len(raw) > maxApply:
		return nil, fmt.Errorf("%s has more than %s", a.File, size(maxApply))
	case len(raw) == 0:
		return nil, hinted(errors.New("the file is empty"), "`portcullis export` prints an example from what is there")
	}
	return raw, nil
}

type exportCmd struct{}

// Run prints the file that apply would take without change.
func (exportCmd) Run(r *run) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	path := "/local/export"
	if r.JSON {
		path += "?json=true"
	}
	return c.stream(r.ctx, path, r.out)
}

type inviteCmd struct {
	Person string `arg:"" help:"The person, as applied before."`
}

// Run prints a one-time link.
func (i *inviteCmd) Run(r *run) error {
	var out api.Invited
	if err := r.act(string(statement.KindInvite), api.InviteParams{Person: i.Person}, &out); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, out)
	}
	_, err := fmt.Fprintf(r.out, "%s\n", out.Link)
	if err == nil {
		_, err = fmt.Fprintf(r.errOut, "Hand this link to %s in person or by a channel you trust. It enrols one key and is good until %s.\n", i.Person, moment(out.Invitation.Expires))
	}
	return err
}
