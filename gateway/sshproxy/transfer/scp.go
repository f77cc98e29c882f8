package transfer

import "github.com/portcullis/portcullis/gateway"

type stub struct{}

func (stub) Client([]byte, func([]byte) error) error {
	return broken("scp's own protocol is not carried yet")
}
func (stub) Target([]byte, func([]byte) error) error {
	return broken("scp's own protocol is not carried yet")
}
func (stub) Close() {}

func newSCP(gateway.Channel, Sink) Tap { return stub{} }
