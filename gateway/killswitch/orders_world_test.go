package killswitch_test

import (
	"errors"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// The small store of these tests keeps no orders and no tokens; the stories of
// those are told over the real one.
var errNoOrders = errors.New("no orders here")

func (t *memTx) PutOrder(gateway.SignedOrder) error               { return errNoOrders }
func (t *memTx) UseOrder(gateway.Digest, string, time.Time) error { return errNoOrders }
func (t *memTx) WithdrawOrder(string, string, time.Time) error    { return errNoOrders }
func (t *memTx) PutToken(gateway.Token) error                     { return errNoOrders }
func (t *memTx) RemoveToken(string, time.Time) error              { return errNoOrders }
