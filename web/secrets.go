package web

import (
	"net/url"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/secrets"
	"github.com/portcullis/portcullis/web/api"
)

// reaches are how far back the page looks, in days.
var reaches = []int{45, 90, 365}

// secretsPage is the list of secrets as it was asked for, or a work-list.
type secretsPage struct {
	secrets.WorkList
	Vendor  string
	Days    int
	Reaches []int
	Todo    bool // what is to be rotated alone
	Vendors []gateway.Vendor
	Title   string // of the scope that is asked about; empty: none
	Back    string // this page, as it was asked for
	Only    string // whose sessions alone a claim is held against
}

func (s *Server) secrets(v *visit) error {
	if s.rooms.Secrets == nil {
		return gateway.NotFound("page", v.URL.Path)
	}
	q := v.URL.Query()
	d := &secretsPage{Vendor: q.Get("vendor"), Days: reaches[0], Reaches: reaches, Todo: q.Get("show") == "rotate", Back: v.URL.RequestURI()}
	if days, err := strconv.Atoi(q.Get("days")); err == nil && days > 0 && days <= reaches[len(reaches)-1] {
		d.Days = days
	}
	var err error
	if d.Vendors, err = s.rooms.Directory.Vendors(v.Context()); err != nil {
		return err
	}
	if err := s.gather(v, d, q.Get("suspension")); err != nil {
		return err
	}
	if d.Scope != nil {
		d.Title, d.Todo = scopeText(*d.Scope), true
		if d.Scope.Kind == gateway.ScopeVendor {
			d.Only = d.Scope.Name
		}
	}
	return s.show(v, "secrets", "Secrets", d)
}

// gather asks the room for what the page shows.
func (s *Server) gather(v *visit, d *secretsPage, suspension string) (err error) {
	since := s.now().AddDate(0, 0, -d.Days)
	room := s.rooms.Secrets
	switch {
	case suspension != "":
		d.WorkList, err = room.ExposedBy(v.Context(), suspension, time.Time{})
	case d.Todo && d.Vendor != "":
		d.WorkList, err = room.Exposed(v.Context(), &gateway.Scope{Kind: gateway.ScopeVendor, Name: d.Vendor}, since)
	case d.Todo:
		d.WorkList, err = room.Exposed(v.Context(), nil, since)
	default:
		d.List, err = room.List(v.Context(), d.Vendor, since)
	}
	return err
}

func (s *Server) rotated(v *visit) error {
	if _, err := s.cfg.API.Rotated(v.Context(), v.who, v.PathValue("target"), v.PathValue("account"), v.PostFormValue("vendor")); err != nil {
		return err
	}
	back, err := url.Parse(localPath(v.PostFormValue("back")))
	if err != nil || back.Path != "/secrets" {
		back = &url.URL{Path: "/secrets"}
	}
	q := back.Query()
	q.Set("done", "rotated")
	back.RawQuery = q.Encode()
	return v.seeOther(back.String())
}

// toRotate is what the sessions under a suspension could have seen; nil for
// whom it is not, and where it cannot be told, which the page outlives.
func (s *Server) toRotate(v *visit, suspension string) *secrets.WorkList {
	if s.rooms.Secrets == nil || !api.Holds(v.who.Person, api.SeeSecrets) {
		return nil
	}
	w, err := s.rooms.Secrets.ExposedBy(v.Context(), suspension, time.Time{})
	if err != nil {
		s.rooms.Logger.Error("what is to be rotated is not known", "suspension", suspension, "error", err)
		return nil
	}
	return &w
}

// workWord words what is left to do about a secret.
func workWord(w secrets.Work) string {
	switch w {
	case secrets.WorkOpen:
		return "to rotate"
	case secrets.WorkDone:
		return "rotated"
	case secrets.WorkExpires:
		return "expires by itself"
	case secrets.WorkGone:
		return "not on file"
	}
	return "no suspicion"
}
