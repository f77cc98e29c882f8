package transfer

import "github.com/portcullis/portcullis/gateway"

type stub struct{}

func (stub) Client([]byte, func([]byte) error) error {
	return broken("file transfer is not carried yet")
}
func (stub) Target([]byte, func([]byte) error) error {
	return broken("file transfer is not carried yet")
}
func (stub) Close() {}

func newSFTP(Sink, func([]byte) error) Tap { return stub{} }
func newSCP(gateway.Channel, Sink) Tap     { return stub{} }
func newStream(gateway.Channel, Sink) Tap  { return stub{} }
