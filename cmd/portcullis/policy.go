package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/portcullis/portcullis/policy"
	"github.com/portcullis/portcullis/web/api"
)

type policyCmd struct {
	Check   policyCheckCmd   `cmd:"" help:"Check a folder of .cedar files."`
	Explain policyExplainCmd `cmd:"" help:"Say what the running gateway would answer to a request, and why."`
	Show    policyShowCmd    `cmd:"" help:"Print the built-in policy, to be copied and changed."`
}

type policyCheckCmd struct {
	Dir string `arg:"" optional:"" help:"The folder; the configuration's by default." type:"path"`
}

// Run checks a policy folder.
func (p *policyCheckCmd) Run(r *run) error {
	dir := p.Dir
	if dir == "" {
		cfg, err := r.configOf()
		if err != nil {
			return err
		}
		dir = cfg.Policy
	}
	fsys := policy.DefaultFiles()
	if dir != "" {
		if _, err := os.Stat(dir); err != nil {
			return err
		}
		fsys = os.DirFS(dir)
	}
	problems := policy.Check(fsys)
	if r.JSON {
		if problems == nil {
			problems = []policy.Problem{}
		}
		if err := printJSON(r.out, problems); err != nil {
			return err
		}
	} else {
		for _, x := range problems {
			fmt.Fprintln(r.out, printable(x.String()))
		}
		if len(problems) == 0 {
			fmt.Fprintln(r.out, "The policy holds.")
		}
	}
	if len(problems) > 0 {
		return shownError{errors.New("the policy does not hold")}
	}
	return nil
}

type policyExplainCmd struct {
	Person    string        `arg:"" help:"Who would ask."`
	Target    string        `arg:"" help:"For which target."`
	Account   string        `help:"With which account; the target's first by default."`
	Abilities []string      `help:"What for." default:"shell"`
	Length    time.Duration `help:"For how long." default:"1h"`
}

// Run asks the running gateway what it would say.
func (p *policyExplainCmd) Run(r *run) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	var out struct {
		Text    string      `json:"text"`
		Verdict api.Verdict `json:"verdict"`
	}
	in := map[string]any{"person": p.Person, "target": p.Target, "account": p.Account, "abilities": p.Abilities, "seconds": int64(p.Length / time.Second)}
	if err := c.do(r.ctx, http.MethodPost, "/local/policy/explain", in, &out); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, out.Verdict)
	}
	_, err = fmt.Fprint(r.out, out.Text)
	return err
}

type policyShowCmd struct{}

// Run prints the built-in policy.
func (policyShowCmd) Run(r *run) error {
	return printFiles(r.out, policy.DefaultFiles())
}
