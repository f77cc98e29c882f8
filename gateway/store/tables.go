package store

import (
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/statement"
)

// signedRow is a statement with the columns that it is found by.
type signedRow struct {
	statement.Signed
	kind, subject string
}

var statements = newTable("statements", "digest kind subject bytes proofs receipt", func(s *signedRow) []any {
	return []any{digest{&s.Digest}, &s.kind, &s.subject, blob{&s.Bytes}, jsonText{&s.Proofs}, jsonText{&s.Receipt}}
})

var vendors = newTable("vendors", "name title networks contact contract state epoch version statement changed", func(v *gateway.Vendor) []any {
	return []any{&v.Name, &v.Title, jsonText{&v.Networks}, &v.Contact, &v.Contract, &v.State, whole{&v.Epoch}, whole{&v.Version}, digest{&v.Statement}, instant{&v.Changed}}
})

var people = newTable("people", "name title email vendor roles service state epoch version statement changed", func(p *gateway.Person) []any {
	return []any{&p.Name, &p.Title, &p.Email, &p.Vendor, jsonText{&p.Roles}, jsonText{&p.Service}, &p.State, whole{&p.Epoch}, whole{&p.Version}, digest{&p.Statement}, instant{&p.Changed}}
})

var targets = newTable("targets", "name title kind address zone impact owner vendors host_keys accounts legacy https network version removed statement changed", func(t *gateway.Target) []any {
	return []any{&t.Name, &t.Title, &t.Kind, &t.Address, &t.Zone, &t.Impact, &t.Owner, jsonText{&t.Vendors}, jsonText{&t.HostKeys}, jsonText{&t.Accounts}, jsonText{&t.Legacy}, jsonText{&t.HTTPS}, jsonText{&t.Network},
		whole{&t.Version}, &t.Removed, digest{&t.Statement}, instant{&t.Changed}}
})

var authenticators = newTable("authenticators", "id person label public_key aaguid format attestation backup_eligible counter vendor_epoch person_epoch statement enrolled removed", func(a *gateway.Authenticator) []any {
	return []any{&a.ID, &a.Person, &a.Label, blob{&a.PublicKey}, &a.AAGUID, &a.Format, &a.Attestation, &a.BackupEligible, &a.Counter,
		whole{&a.Epochs.Vendor}, whole{&a.Epochs.Person}, digest{&a.Statement}, instant{&a.Enrolled}, instant{&a.Removed}}
})

var sshKeys = newTable("ssh_keys", "fingerprint person label line counter vendor_epoch person_epoch statement added removed", func(k *gateway.SSHKey) []any {
	return []any{&k.Fingerprint, &k.Person, &k.Label, &k.Key, &k.Counter, whole{&k.Epochs.Vendor}, whole{&k.Epochs.Person}, digest{&k.Statement}, instant{&k.Added}, instant{&k.Removed}}
})

var invitations = newTable("invitations", "id person public_key vendor_epoch person_epoch statement expires used", func(i *gateway.Invitation) []any {
	return []any{&i.ID, &i.Person, blob{&i.PublicKey}, whole{&i.Epochs.Vendor}, whole{&i.Epochs.Person}, digest{&i.Statement}, instant{&i.Expires}, instant{&i.Used}}
})

var logins = newTable("logins", "hash id person method binding source vendor_epoch person_epoch made seen", func(l *gateway.Login) []any {
	return []any{digest{&l.Hash}, &l.ID, &l.Person, &l.Method, digest{&l.Binding}, &l.Source, whole{&l.Epochs.Vendor}, whole{&l.Epochs.Person}, instant{&l.Made}, instant{&l.Seen}}
})

var requests = newTable("requests", "id person vendor target target_statement account starts ends length abilities reason ticket vendor_epoch person_epoch asked lapse digest document state needs roles closed closed_by word version asker", func(r *gateway.Request) []any {
	return []any{&r.ID, &r.Person, &r.Vendor, &r.Target, digest{&r.TargetStatement}, &r.Account, instant{&r.Terms.From}, instant{&r.Terms.To}, &r.Terms.Length, jsonText{&r.Terms.Abilities},
		&r.Reason, &r.Ticket, whole{&r.Epochs.Vendor}, whole{&r.Epochs.Person}, instant{&r.Asked}, instant{&r.Lapse}, digest{&r.Digest}, blob{&r.Document},
		&r.State, &r.Needs, jsonText{&r.Roles}, instant{&r.Closed}, &r.ClosedBy, &r.Word, whole{&r.Version}, &r.Asker}
})

var approvals = newTable("approvals", "request person starts ends length abilities statement made", func(a *gateway.Approval) []any {
	return []any{&a.Request, &a.Person, instant{&a.Terms.From}, instant{&a.Terms.To}, &a.Terms.Length, jsonText{&a.Terms.Abilities}, digest{&a.Statement}, instant{&a.At}}
})

var grants = newTable("grants", "id request person vendor target account abilities starts ends vendor_epoch person_epoch state closed closed_by why version", func(g *gateway.Grant) []any {
	return []any{&g.ID, &g.Request, &g.Person, &g.Vendor, &g.Target, &g.Account, jsonText{&g.Abilities}, instant{&g.From}, instant{&g.To},
		whole{&g.Epochs.Vendor}, whole{&g.Epochs.Person}, &g.State, instant{&g.Closed}, &g.ClosedBy, &g.Why, whole{&g.Version}}
})

var tickets = newTable("tickets", "touch person grant_id via expires", func(t *access.Ticket) []any {
	return []any{digest{&t.Touch}, &t.Person, &t.Grant, &t.Via, instant{&t.Expires}}
})

var sessions = newTable("sessions", "id grant_id request person vendor target account protocol node source client touch vendor_epoch person_epoch state started until ended reason detail ended_by bytes_in bytes_out seal frozen frozen_by zone wide_epochs supervised", func(s *gateway.Session) []any {
	return []any{&s.ID, &s.Grant, &s.Request, &s.Person, &s.Vendor, &s.Target, &s.Account, &s.Protocol, &s.Node, &s.Source, &s.Client, digest{&s.Touch},
		whole{&s.Epochs.Vendor}, whole{&s.Epochs.Person}, &s.State, instant{&s.Started}, instant{&s.Until}, instant{&s.Ended}, &s.Reason, &s.Detail, &s.EndedBy,
		&s.BytesIn, &s.BytesOut, digest{&s.Seal}, instant{&s.Frozen}, &s.FrozenBy, &s.Zone, jsonText{&s.Wide}, &s.Supervised}
})

var suspensions = newTable("suspensions", "id scope_kind scope_name epoch reason ordered_by statement ordered lifted report closing node", func(s *gateway.Suspension) []any {
	return []any{&s.ID, &s.Scope.Kind, &s.Scope.Name, whole{&s.Epoch}, &s.Reason, &s.By, digest{&s.Statement}, instant{&s.Ordered}, instant{&s.Lifted}, jsonText{&s.Report}, jsonText{&s.Closing}, &s.Node}
})
