package access

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Filter narrows a list; empty fields do not. Newest first, at most Limit
// (1 to MaxPage; 0 means MaxPage), beginning below the identifier Before.
type Filter struct {
	Vendor, Person, Target string
	States                 []string
	Before                 string
	Limit                  int
}

// MaxPage bounds one page of a list.
const MaxPage = 200

// Ticket is one touch given ahead in the browser: good for one connection of
// that person under that grant.
type Ticket struct {
	Touch   gateway.Digest // of the signed session.open statement
	Person  string
	Grant   string
	Via     string // the login, or the fingerprint of the SSH security key, that it was made with
	Expires time.Time
}

// Store keeps requests, approvals, grants and tickets.
type Store interface {
	Request(ctx context.Context, id string) (gateway.Request, error) // with Document
	Requests(ctx context.Context, f Filter) ([]gateway.Request, error)
	Approvals(ctx context.Context, request string) ([]gateway.Approval, error) // oldest first
	Grant(ctx context.Context, id string) (gateway.Grant, error)
	GrantOf(ctx context.Context, request string) (gateway.Grant, error)
	Grants(ctx context.Context, f Filter) ([]gateway.Grant, error)
	// Usable lists the person's grants at that target which are not closed,
	// soonest window first.
	Usable(ctx context.Context, person, target string) ([]gateway.Grant, error)
	// Due lists waiting requests whose Lapse, planned grants whose From and
	// open grants whose To is not after now; Next is the soonest such moment
	// after now, zero if there is none.
	Due(ctx context.Context, now time.Time) (requests []gateway.Request, grants []gateway.Grant, next time.Time, err error)
	Statement(ctx context.Context, digest gateway.Digest) (statement.Signed, error)
	Update(ctx context.Context, f func(Tx) error) error
}

// Tx writes.
type Tx interface {
	audit.Tx
	PutStatement(s statement.Signed) error
	// Request and Approvals read inside the transaction.
	Request(id string) (gateway.Request, error)
	Approvals(request string) ([]gateway.Approval, error)
	Grant(id string) (gateway.Grant, error)
	// Usable and Waiting read the person's windows inside the transaction, so
	// that two that are asked for at once, on two nodes, do not overlap:
	// grants at that target that are not closed, soonest first, and the newest
	// MaxWaiting requests that wait.
	Usable(person, target string) ([]gateway.Grant, error)
	Waiting(person string) ([]gateway.Request, error)
	// PutRequest creates at Version 1, else replaces Version-1 or answers
	// gateway.ErrStale.
	PutRequest(r gateway.Request) error
	PutApproval(a gateway.Approval) error // gateway.ErrUsed if that person approved it before
	PutGrant(g gateway.Grant) error       // as PutRequest; one grant a request, else gateway.ErrUsed
	PutTicket(t Ticket) error
	// TakeTicket removes and returns the oldest ticket of that person and
	// grant that has not expired, and was made via that login or key where one
	// is named; gateway.ErrNotFound if there is none.
	TakeTicket(person, grant, via string, now time.Time) (Ticket, error)
	// Epochs reads the current state and epochs of a vendor and a person
	// inside the transaction, so that a suspension committed before is seen.
	Epochs(vendor, person string) (e gateway.Epochs, vendorActive, personActive bool, err error)
}
