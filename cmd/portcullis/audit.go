package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/web/api"
)

// maxLine bounds one log line that is followed.
const maxLine = 1 << 20

type auditCmd struct {
	Tail   auditTailCmd   `cmd:"" help:"Print the newest lines of the log."`
	Search auditSearchCmd `cmd:"" help:"Search the log."`
	Verify auditVerifyCmd `cmd:"" help:"Verify the log; names each row that was edited, dropped or reordered."`
}

// logged is one line as the API answers it.
type logged struct {
	Seq  int64           `json:"seq"`
	OCSF json.RawMessage `json:"ocsf"`
}

type auditTailCmd struct {
	Lines  int  `short:"n" help:"How many lines (1 to 200)." default:"20"`
	Follow bool `short:"f" help:"Go on as lines come."`
}

// Run prints the newest lines, oldest first.
func (a *auditTailCmd) Run(r *run) error {
	var page api.Page[logged]
	if err := r.get("/events?"+url.Values{"limit": {fmt.Sprint(a.Lines)}}.Encode(), &page); err != nil {
		return err
	}
	slices.Reverse(page.Items)
	for _, e := range page.Items {
		if err := printEvent(r, e); err != nil {
			return err
		}
	}
	if !a.Follow {
		return nil
	}
	return followEvents(r)
}

func followEvents(r *run) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	res, err := c.send(r.ctx, http.MethodGet, "/local/audit/follow", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e logged
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read the gateway's answer: %w", err)
		}
		if err := printEvent(r, e); err != nil {
			return err
		}
	}
	if r.ctx.Err() != nil {
		return nil
	}
	return lines.Err()
}

type auditSearchCmd struct {
	Text    string    `arg:"" optional:"" help:"Words to look for."`
	Name    string    `help:"Events of this name only, such as session.ended."`
	Vendor  string    `help:"Of this vendor only."`
	Person  string    `help:"Of this person only."`
	Session string    `help:"Of this session only."`
	From    time.Time `help:"Not before, RFC 3339."`
	To      time.Time `help:"Before, RFC 3339."`
	Limit   int       `help:"At most so many (1 to 200)." default:"50"`
	Before  int64     `help:"Page on below this line."`
}

// Run searches the log, newest first.
func (a *auditSearchCmd) Run(r *run) error {
	q := url.Values{"limit": {fmt.Sprint(a.Limit)}}
	for k, v := range map[string]string{"text": a.Text, "name": a.Name, "vendor": a.Vendor, "person": a.Person, "session": a.Session} {
		if v != "" {
			q.Set(k, v)
		}
	}
	for k, t := range map[string]time.Time{"from": a.From, "to": a.To} {
		if !t.IsZero() {
			q.Set(k, t.UTC().Format(time.RFC3339))
		}
	}
	if a.Before > 0 {
		q.Set("before", fmt.Sprint(a.Before))
	}
	var page api.Page[logged]
	if err := r.get("/events?"+q.Encode(), &page); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, page)
	}
	for _, e := range page.Items {
		if err := printEvent(r, e); err != nil {
			return err
		}
	}
	if len(page.Items) == 0 {
		_, err := fmt.Fprintln(r.out, "Nothing found.")
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(r.errOut, "There is more: page on with --before %s\n", page.Next)
	}
	return nil
}

// printEvent prints one line of the log in one line of text.
func printEvent(r *run, l logged) error {
	if r.JSON {
		return json.NewEncoder(r.out).Encode(l)
	}
	e, err := audit.ParseEntry(l.OCSF)
	if err != nil {
		_, err = fmt.Fprintf(r.out, "%6d  UNREADABLE: %s\n", l.Seq, printable(err.Error()))
		return err
	}
	var about []string
	for _, f := range [][2]string{
		{"by", e.Actor}, {"vendor", e.Vendor}, {"person", e.Person}, {"target", e.Target}, {"account", e.Account}, {"request", e.Request}, {"grant", e.Grant},
		{"session", e.Session}, {"suspension", e.Suspension}, {"from", e.Source}, {"rule", e.Rule}, {"reason", e.Reason},
	} {
		if f[1] != "" {
			about = append(about, f[0]+"="+quoted(f[1]))
		}
	}
	mark := ""
	if e.Outcome != audit.OK && e.Outcome != "" {
		mark = strings.ToUpper(string(e.Outcome)) + " "
	}
	_, err = fmt.Fprintf(r.out, "%6d  %s  %s%s  %s\n", l.Seq, e.At.UTC().Format("2006-01-02 15:04:05.000Z"), mark, e.Name, strings.Join(about, " "))
	return err
}

func quoted(s string) string {
	if strings.ContainsAny(s, " =\"") || printable(s) != s {
		return fmt.Sprintf("%q", s)
	}
	return s
}

type auditVerifyCmd struct{}

// Run verifies the log straight from the store's file, whether the gateway
// runs or not: a gateway that lies about its log must not be asked about it.
func (auditVerifyCmd) Run(r *run) error {
	cfg, err := r.configOf()
	if err != nil {
		return err
	}
	origin, err := audit.Origin(cfg.URL)
	if err != nil {
		return err
	}
	keys, err := keysIn(cfg.Data)
	if err != nil {
		return err
	}
	signer, err := audit.NewSigner(origin, keys.MachineKey())
	if err != nil {
		return err
	}
	floor, err := audit.ReadCheckpoint(filepath.Join(cfg.Data, "checkpoint"))
	if err != nil {
		return err
	}
	src, done, err := openLog(r.ctx, cfg)
	if err != nil {
		return err
	}
	res, faults, err := audit.Verify(r.ctx, src, signer.Verifier(), floor)
	v := verified(res, faults)
	if err == nil && len(faults) == 0 {
		v.Faults, err = recordedHere(r.ctx, src, cfg, keys)
	}
	if err = errors.Join(err, done()); err != nil {
		return err
	}
	return printVerified(r, v)
}

func printVerified(r *run, v api.Verified) error {
	if r.JSON {
		if err := printJSON(r.out, v); err != nil {
			return err
		}
	} else if len(v.Faults) == 0 {
		fmt.Fprintf(r.out, "PASS  %d rows hold; root %s\n", v.Size, v.Root)
	} else {
		printFaults(r.out, v)
	}
	if len(v.Faults) > 0 {
		return shownError{errors.New("the log does not hold")}
	}
	return nil
}

func printFaults(w io.Writer, v api.Verified) {
	fmt.Fprintf(w, "FAIL  the log of %d rows does not hold:\n", v.Size)
	for _, f := range v.Faults {
		fmt.Fprintf(w, "  %s\n", printable(f))
	}
}
