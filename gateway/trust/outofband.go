package trust

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// tokenRemoved begins the floor's subject for a token that was removed.
const tokenRemoved = "token-removed:"

// CheckOrder is Check for an order of suspension that is being handed in: it
// holds, its signer still is who he was, and it is good now. An order by the
// machine's own key is verified without the store.
func (c *Chain) CheckOrder(ctx context.Context, s statement.Signed) (Checked, *statement.Order, error) {
	s.Receipt = statement.Receipt{} // a file's word on when it was filed is nobody's
	f, err := read(s)
	if err != nil {
		return Checked{}, nil, err
	}
	o, ok := f.body.(*statement.Order)
	if !ok {
		return Checked{}, nil, broken("statement %s is no order", s.Digest.Short())
	}
	if err := c.goodNow(o); err != nil {
		return Checked{}, nil, err
	}
	out, err := c.Check(ctx, s)
	if err != nil {
		return Checked{}, nil, err
	}
	return out, o, o.CheckTimes(out.Statement.At)
}

func (c *Chain) goodNow(o *statement.Order) error {
	switch now := c.now(); {
	case now.Add(ahead).Before(o.From):
		return gateway.Refused("order-early", "hand it in again then", "order %s is good from %s", o.ID, o.From.UTC().Format("2006-01-02 15:04 UTC"))
	case now.After(o.To):
		return gateway.Refused("order-expired", "have a new one signed", "order %s was good until %s", o.ID, o.To.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return nil
}

// Token holds a token's row to the statement that issued it. An administrator
// who issued one may have left since: like every definition it stays. Whether
// it has expired is for the caller to look at.
func (c *Chain) Token(ctx context.Context, row gateway.Token) (gateway.Token, error) {
	w := c.walk(ctx)
	f, err := w.need(row.Statement)
	if err != nil {
		return gateway.Token{}, err
	}
	b, ok := f.body.(*statement.TokenIssue)
	if !ok || b.ID != row.ID {
		return gateway.Token{}, broken("the row of token %s names a statement about %s", gateway.Quote(row.Name), gateway.Quote(f.body.Subject()))
	}
	if field := differs(diff{"name", row.Name == b.Name}, diff{"hash", row.Hash.Equal(b.Hash)}, diff{"scope", row.Scope == b.Scope}, diff{"end", row.Expires.Equal(b.Expires)}); field != "" {
		return gateway.Token{}, broken("the row of token %s was changed: its %s is not what was signed", gateway.Quote(row.Name), field)
	}
	if err := b.CheckTimes(f.st.At); err != nil {
		return gateway.Token{}, err
	}
	if row.Removed, err = w.floor.removed(tokenRemoved+row.ID, row.Removed); err != nil {
		return gateway.Token{}, err
	}
	return row, w.settle()
}
