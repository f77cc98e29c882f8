package main

import (
	"context"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/sshproxy"
	"github.com/portcullis/portcullis/gateway/statement"
)

// The joints between rooms that declare what they need in their own words.

// entitler is access as package session asks for it.
type entitler struct{ a *access.Service }

func (e entitler) Entitle(ctx context.Context, grant string, touch statement.Signed) (session.Entitlement, error) {
	x, err := e.a.Entitle(ctx, grant, touch)
	if err != nil {
		return session.Entitlement{}, err
	}
	return session.Entitlement(x), nil
}

func (e entitler) Credential(ctx context.Context, x session.Entitlement, id string) (session.Credential, error) {
	c, err := e.a.Credential(ctx, access.Entitlement(x), id)
	if err != nil {
		return session.Credential{}, err
	}
	return session.Credential{Auth: c.Auth, HTTP: c.HTTP, Mark: c.Mark(x.Target.Name)}, nil
}

// sshIdentity is identity as package sshproxy asks for it.
type sshIdentity struct{ *identity.Service }

// Await puts a connection up for a touch.
func (s sshIdentity) Await(ctx context.Context, w sshproxy.Waiting) (sshproxy.Pending, error) {
	p, err := s.Service.Await(ctx, identity.Waiting(w))
	if err != nil {
		return sshproxy.Pending{}, err
	}
	wait := func(ctx context.Context) (statement.Signed, error) {
		select {
		case t := <-p.Done():
			return t.Signed, t.Err
		case <-ctx.Done():
			return statement.Signed{}, context.Cause(ctx)
		}
	}
	return sshproxy.Pending{ID: p.ID, Code: p.Code, Wait: wait, Close: p.Close}, nil
}

// sshSessions is session as package sshproxy asks for it.
type sshSessions struct{ m *session.Manager }

func (s sshSessions) Open(ctx context.Context, o sshproxy.Opening) (sshproxy.Live, error) {
	l, err := s.m.Open(ctx, session.Opening(o))
	if err != nil {
		return nil, err
	}
	return sshLive{l}, nil
}

func (s sshSessions) Refuse(ctx context.Context, r sshproxy.Refusal) {
	s.m.Refuse(ctx, session.Refusal(r))
}

type sshLive struct{ *session.Live }

func (l sshLive) Credential(ctx context.Context) ([]ssh.AuthMethod, error) {
	c, err := l.Live.Credential(ctx)
	return c.Auth, err
}

func (l sshLive) Channel(ctx context.Context, ch gateway.Channel) (sshproxy.Channel, error) {
	c, err := l.Live.Channel(ctx, ch)
	if err != nil {
		return nil, err
	}
	return c, nil
}
