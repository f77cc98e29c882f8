package main

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// maxAside bounds what is kept between a statement's drawing up and signing.
const maxAside = 256

// acts joins each kind of statement with the room that draws it up and the
// room that does what it says. Enrolments are not here: they have a ceremony
// of their own in package identity.
func (r *rooms) acts() map[statement.Kind]api.Act {
	tokens := &aside{}
	return map[statement.Kind]api.Act{
		statement.KindVendor: {Commit: r.directory.Commit, Draft: func(ctx context.Context, _ gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in statement.VendorAdmit) (*statement.VendorAdmit, error) {
				return r.directory.DraftVendor(ctx, in)
			})
		}},
		statement.KindPerson: {Commit: r.directory.Commit, Draft: func(ctx context.Context, _ gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in statement.PersonAdmit) (*statement.PersonAdmit, error) {
				return r.directory.DraftPerson(ctx, in)
			})
		}},
		statement.KindTarget: {Commit: r.directory.Commit, Draft: func(ctx context.Context, _ gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in statement.TargetDefine) (*statement.TargetDefine, error) {
				return r.directory.DraftTarget(ctx, in)
			})
		}},
		statement.KindInvite:    r.inviteAct(tokens),
		statement.KindKeyRemove: r.keyRemoveAct(),
		statement.KindSSHKey:    r.sshKeyAct(),
		statement.KindSSHRemove: r.sshRemoveAct(),
		statement.KindSSHCert:   r.sshCertAct(),
		statement.KindApprove:   r.approveAct(),
		statement.KindOpen:      r.openAct(),
		statement.KindSuspend:   r.orCloseHere(r.suspendAct()),
		statement.KindOrder:     r.orderAct(),
		statement.KindToken:     r.tokenAct(),
		statement.KindRestore:   r.restoreAct(),
		statement.KindAdvance:   r.advanceAct(),
	}
}

// drafted decodes an act's params, strictly, and draws up its body.
func drafted[In any, Out statement.Body](raw json.RawMessage, draw func(In) (Out, error)) (statement.Body, error) {
	var in In
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, gateway.Invalid("params", "the params of this act do not read: %s", gateway.Quote(err.Error()))
	}
	body, err := draw(in)
	if err != nil {
		return nil, err // not body: a nil pointer in an interface is not nil
	}
	return body, nil
}

// aside keeps what belongs to a statement and must not stand in it, between
// its drawing up and its signing, in memory alone: an invitation's token, the
// name under which a connection waits.
type aside struct {
	mu   sync.Mutex
	kept map[string]asideText
}

type asideText struct {
	text  string
	until time.Time
}

func (t *aside) put(key, text string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil {
		t.kept = map[string]asideText{}
	}
	for k, x := range t.kept {
		if now.After(x.until) {
			delete(t.kept, k)
		}
	}
	if len(t.kept) >= maxAside {
		return &gateway.Error{Code: gateway.CodeTooMany, Rule: "acts", Text: "too many statements were drawn up and not signed", Next: "wait a minute"}
	}
	t.kept[key] = asideText{text, now.Add(2 * statement.Fresh)}
	return nil
}

func (t *aside) take(key string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.kept[key]
	delete(t.kept, key)
	return x.text
}

func (r *rooms) inviteAct(tokens *aside) api.Act {
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.InviteParams) (*statement.Invite, error) {
				body, token, err := r.identity.DraftInvite(ctx, by, in.Person)
				if err != nil {
					return nil, err
				}
				return body, tokens.put(body.ID, token, time.Now())
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) {
			inv, err := r.identity.CommitInvite(ctx, s)
			if err != nil {
				return nil, err
			}
			return api.Invited{Invitation: inv, Link: r.inviteLink(tokens.take(inv.ID))}, nil
		},
	}
}

// inviteLink puts the token behind the hash, which browsers send to nobody.
func (r *rooms) inviteLink(token string) string { return r.cfg.URL + "/enrol#" + token }

func (r *rooms) keyRemoveAct() api.Act {
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.KeyRemoveParams) (*statement.KeyRemove, error) {
				return r.identity.DraftKeyRemove(ctx, by, in.Credential)
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) {
			return nil, r.identity.CommitKeyRemove(ctx, s)
		},
	}
}

func (r *rooms) sshKeyAct() api.Act {
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.SSHKeyParams) (*statement.SSHKeyAdd, error) {
				return r.identity.DraftAttestedSSHKey(ctx, by, in.Key, in.Label, identity.Attested{Blob: in.Attestation, Challenge: in.Challenge})
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) { return r.identity.CommitSSHKey(ctx, s) },
	}
}

func (r *rooms) sshRemoveAct() api.Act {
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.SSHRemoveParams) (*statement.SSHKeyRemove, error) {
				return r.identity.DraftSSHKeyRemove(ctx, by, in.Fingerprint)
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) {
			return nil, r.identity.CommitSSHKeyRemove(ctx, s)
		},
	}
}

func (r *rooms) approveAct() api.Act {
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.ApproveParams) (*statement.Approve, error) {
				var narrowed *gateway.Terms
				if in.Terms != nil {
					t, err := in.Terms.Terms()
					if err != nil {
						return nil, err
					}
					narrowed = &t
				}
				return r.access.DraftApprove(ctx, by, in.Request, narrowed)
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) {
			req, grant, err := r.access.CommitApprove(ctx, s)
			if err != nil {
				return nil, err
			}
			return struct {
				Request gateway.Request `json:"request"`
				Grant   *gateway.Grant  `json:"grant,omitempty"`
			}{req, grant}, nil
		},
	}
}

// openAct is the touch that opens a session: for a connection that waits, ahead
// as a ticket, or a tunnel for the key of its peer. Which of them stands in the
// statement's binding, and the connection's own identifier in its transport.
func (r *rooms) openAct() api.Act {
	pending := &aside{} // by transport, which stands in the statement
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, login *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.OpenParams) (*statement.Open, error) {
				switch {
				case login == nil:
					return nil, gateway.Refused("touch", "the engineer opens it in the browser", "a session is opened by a person's touch, never by the machine")
				case (in.Grant == "") == (in.Pending == "") || (in.Peer != "" || in.Terminal != "") && in.Grant == "":
					return nil, gateway.Invalid("params", "name either a grant or a waiting connection")
				case in.Terminal != "":
					t, _, err := r.identity.TunnelTerminal(in.Terminal)
					if err != nil {
						return nil, err
					}
					return r.access.DraftOpen(ctx, by, in.Grant, statement.BindPeer, t.Fingerprint, t.Source, t.Code)
				case in.Peer != "":
					return r.access.DraftOpen(ctx, by, in.Grant, statement.BindPeer, in.Peer, login.Source, "")
				case in.Pending == "":
					return r.access.DraftOpen(ctx, by, in.Grant, statement.BindLogin, login.ID, login.Source, "")
				}
				w, code, err := r.identity.PendingOf(in.Pending, by.Name)
				if err != nil {
					return nil, err
				}
				body, err := r.access.DraftOpen(ctx, by, w.Grant.ID, statement.BindSSH, w.TransportID, w.Source, code)
				if err != nil {
					return nil, err
				}
				return body, pending.put(w.TransportID, in.Pending, time.Now())
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) {
			_, body, err := s.Parse()
			if err != nil {
				return nil, err
			}
			open, ok := body.(*statement.Open)
			if !ok {
				return nil, gateway.Invalid("kind", "this statement opens nothing")
			}
			switch open.Binding {
			case statement.BindLogin:
				return r.access.CommitTicket(ctx, s)
			case statement.BindPeer:
				return r.openTunnel(ctx, open, s)
			}
			return nil, r.identity.Deliver(pending.take(open.Transport), open.Person, s)
		},
	}
}

func (r *rooms) suspendAct() api.Act {
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.SuspendParams) (*statement.Suspend, error) {
				closing, err := in.Closing(time.Now())
				if err != nil {
					return nil, err
				}
				return r.killswitch.DraftSuspend(ctx, by, in.Scope, closing, in.Reason)
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) { return r.killswitch.Suspend(ctx, s) },
	}
}

func (r *rooms) restoreAct() api.Act {
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.RestoreParams) (*statement.Restore, error) {
				return r.killswitch.DraftRestore(ctx, by, in.Scope, in.Report, in.Reason)
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) { return r.killswitch.Restore(ctx, s) },
	}
}

func (r *rooms) advanceAct() api.Act {
	return api.Act{
		Draft: func(ctx context.Context, _ gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.AdvanceParams) (*statement.Advance, error) {
				return r.killswitch.DraftAdvance(ctx, in.Scope, in.Reason)
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) { return r.killswitch.Advance(ctx, s) },
	}
}
