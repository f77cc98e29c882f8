package policy

import (
	"cmp"
	"slices"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/portcullis/portcullis/gateway"
)

// Action is what somebody wants to do.
type Action string

// The closed list of actions; a rule names them as Action::"ask".
const (
	Ask        Action = "ask"     // resource: the target
	Open       Action = "open"    // resource: the target
	Approve    Action = "approve" // resource: the target
	Enrol      Action = "enrol"   // resource: the gateway, as all below
	Suspend    Action = "suspend"
	Restore    Action = "restore"
	Administer Action = "administer"
	Review     Action = "review"
	ReadInput  Action = "read-input"
	EndSession Action = "end-session"
)

// Actions is the list.
var Actions = []Action{Ask, Open, Approve, Enrol, Suspend, Restore, Administer, Review, ReadInput, EndSession}

// onTarget reports whether the action's resource is a target.
func (a Action) onTarget() bool { return a == Ask || a == Open || a == Approve }

// Facts is all that a decision may look at. Now is the time that counts: of
// the asking for Ask and Approve, of the opening for Open. Asker matters to
// Approve alone, Key to Enrol alone.
type Facts struct {
	Action  Action
	Person  gateway.Person // who wants to do it
	Vendor  gateway.Vendor // whose engineer uses the target
	Target  gateway.Target
	Account string
	Terms   gateway.Terms
	Now     time.Time
	Asker   string
	Stage   gateway.Stage // of the strictest restoration that covers the use; empty is normal
	Key     EnrolFacts
}

// EnrolFacts is what is known of a FIDO2 key before it is enrolled, or of an
// SSH key before it is added.
type EnrolFacts struct {
	BackupEligible bool   // a synced key could leave its owner's hands
	Attestation    string // verdict: none, self, unanchored
	Format         string // attestation format: none, packed, ...
	AAGUID         string // model of the key, UUID text
	SSH            bool   // an SSH key; the two below are of such alone
	SecurityKey    bool   // by its type in a FIDO2 authenticator, which Attestation proves or not
	VerifyRequired bool   // proven never to sign without its PIN or fingerprint
}

var theGateway = cedar.NewEntityUID("Gateway", "portcullis")

// request renders the facts for Cedar.
func (f Facts) request() (cedar.EntityMap, cedar.Request) {
	person := cedar.NewEntityUID("Person", cedar.String(f.Person.Name))
	entities := cedar.EntityMap{
		person: {UID: person, Attributes: cedar.NewRecord(cedar.RecordMap{
			"name": cedar.String(f.Person.Name), "vendor": cedar.String(f.Person.Vendor), "staff": cedar.Boolean(f.Person.Staff()),
			"roles": stringSet(f.Person.Roles), "state": cedar.String(f.Person.State),
		})},
	}
	req := cedar.Request{Principal: person, Action: cedar.NewEntityUID("Action", cedar.String(f.Action)), Resource: theGateway}
	if f.Action.onTarget() {
		t := f.Target
		req.Resource = cedar.NewEntityUID("Target", cedar.String(t.Name))
		entities[req.Resource] = cedar.Entity{UID: req.Resource, Attributes: cedar.NewRecord(cedar.RecordMap{
			"name": cedar.String(t.Name), "kind": cedar.String(t.Kind), "zone": cedar.String(t.Zone), "impact": cedar.String(t.Impact),
			"owner": cedar.String(t.Owner), "vendors": stringSet(t.Vendors), "removed": cedar.Boolean(t.Removed),
		})}
	} else {
		entities[theGateway] = cedar.Entity{UID: theGateway}
	}
	req.Context = f.context()
	return entities, req
}

func (f Facts) context() cedar.Record {
	now := cedar.NewDatetime(f.Now)
	switch f.Action {
	case Ask, Open:
		return f.use()
	case Approve:
		return cedar.NewRecord(cedar.RecordMap{"use": f.use(), "asker": cedar.String(f.Asker)})
	case Enrol:
		return cedar.NewRecord(cedar.RecordMap{
			"now": now, "synced": cedar.Boolean(f.Key.BackupEligible), "attestation": cedar.String(f.Key.Attestation),
			"format": cedar.String(f.Key.Format), "model": cedar.String(f.Key.AAGUID),
			"ssh": cedar.Boolean(f.Key.SSH), "security_key": cedar.Boolean(f.Key.SecurityKey), "verify_required": cedar.Boolean(f.Key.VerifyRequired),
		})
	}
	return cedar.NewRecord(cedar.RecordMap{"now": now})
}

// use renders the terms. A length without a window is shown as beginning now:
// when it will begin is not known before the last approval.
func (f Facts) use() cedar.Record {
	from, to := f.Terms.From, f.Terms.To
	if from.IsZero() {
		from, to = f.Now, f.Now.Add(f.Terms.Length)
	}
	can := f.Terms.Abilities
	return cedar.NewRecord(cedar.RecordMap{
		"methods": stringSet(can.Methods), "paths": stringSet(can.Paths), "read_only": cedar.Boolean(can.ReadOnly()),
		"max_upload": cedar.Long(can.MaxUpload), "max_download": cedar.Long(can.MaxDownload),
		"rate": cedar.Long(can.Rate), "volume_in": cedar.Long(can.VolumeIn), "volume_out": cedar.Long(can.VolumeOut),
		"flows": stringSet(can.Flows), "bandwidth": cedar.Long(can.Bandwidth),
		"account": cedar.String(f.Account), "abilities": stringSet(can.List()), "window": cedar.NewDuration(f.Terms.Window()),
		"from": cedar.NewDatetime(from), "to": cedar.NewDatetime(to), "now": cedar.NewDatetime(f.Now),
		"stage":  cedar.String(cmp.Or(f.Stage, gateway.StageNormal)),
		"vendor": cedar.NewRecord(cedar.RecordMap{"name": cedar.String(f.Vendor.Name), "state": cedar.String(f.Vendor.State)}),
	})
}

func stringSet[T ~string](list []T) cedar.Set {
	values := make([]cedar.Value, 0, len(list))
	for _, s := range list {
		values = append(values, cedar.String(s))
	}
	return cedar.NewSet(slices.Clip(values)...)
}
