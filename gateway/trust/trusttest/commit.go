package trusttest

import (
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Commit files a statement, with a receipt of the time at which it says that
// it was drawn up, and writes the rows that the rooms would write. It verifies
// nothing: a test commits lies with it.
func (w *World) Commit(s statement.Signed) {
	w.T.Helper()
	st, body, err := s.Parse()
	if err != nil {
		w.T.Fatalf("commit: %v", err)
	}
	w.Store.mu.Lock()
	defer w.Store.mu.Unlock()
	s.Receipt = w.Machine.Receive(s.Digest, st.At)
	w.Store.Statements[s.Digest] = s
	w.Log = append(w.Log, s)
	w.Store.write(s.Digest, st, body)
}

func (s *Store) write(d gateway.Digest, st statement.Statement, body statement.Body) {
	switch b := body.(type) {
	case *statement.VendorAdmit:
		row := gateway.Vendor{
			Name: b.Name, Title: b.Title, Networks: b.Networks, Contact: b.Contact, Contract: b.Contract, State: gateway.Active,
			Epoch: 1, Version: b.Version, Statement: d, Changed: st.At,
		}
		if old, ok := s.Vendors[b.Name]; ok {
			row.State, row.Epoch = old.State, old.Epoch
		}
		if b.Removed {
			row.State = gateway.Removed
		}
		s.Vendors[b.Name] = row
	case *statement.PersonAdmit:
		row := gateway.Person{
			Name: b.Name, Title: b.Title, Email: b.Email, Vendor: b.Vendor, Roles: b.Roles, Service: b.Service, State: gateway.Active,
			Epoch: 1, Version: b.Version, Statement: d, Changed: st.At,
		}
		if old, ok := s.People[b.Name]; ok {
			row.State, row.Epoch = old.State, old.Epoch
		}
		if b.Removed {
			row.State = gateway.Removed
		}
		s.People[b.Name] = row
	case *statement.TargetDefine:
		s.Targets[b.Name] = gateway.Target{
			Name: b.Name, Title: b.Title, Kind: b.Kind_, Address: b.Address, Zone: b.Zone, Impact: b.Impact, Owner: b.Owner, Vendors: b.Vendors,
			HostKeys: b.HostKeys, Accounts: b.Accounts, Legacy: b.Legacy, HTTPS: b.HTTPS, Network: b.Network, Version: b.Version, Removed: b.Removed, Statement: d, Changed: st.At,
		}
	default:
		s.writeKey(d, st, body)
	}
}

func (s *Store) writeKey(d gateway.Digest, st statement.Statement, body statement.Body) {
	switch b := body.(type) {
	case *statement.Invite:
		s.Invitations[b.ID] = gateway.Invitation{ID: b.ID, Person: b.Person, PublicKey: b.PublicKey, Epochs: b.Epochs, Statement: d, Expires: b.Expires}
	case *statement.Enrol:
		s.Authenticators[b.Credential] = gateway.Authenticator{
			ID: b.Credential, Person: b.Person, Label: b.Label, PublicKey: b.PublicKey, AAGUID: b.AAGUID, Format: b.Format, Attestation: b.Attestation,
			BackupEligible: b.BackupEligible, Epochs: b.Epochs, Statement: d, Enrolled: st.At,
		}
		if i, ok := s.Invitations[b.Invitation]; ok {
			i.Used = st.At
			s.Invitations[b.Invitation] = i
		}
	case *statement.KeyRemove:
		a := s.Authenticators[b.Credential]
		a.Removed = st.At
		s.Authenticators[b.Credential] = a
	case *statement.SSHKeyAdd:
		s.SSHKeys[b.Fingerprint] = gateway.SSHKey{Fingerprint: b.Fingerprint, Person: b.Person, Label: b.Label, Key: b.Key, Epochs: b.Epochs, Statement: d, Added: st.At}
	case *statement.SSHKeyRemove:
		k := s.SSHKeys[b.Fingerprint]
		k.Removed = st.At
		s.SSHKeys[b.Fingerprint] = k
	case *statement.Suspend:
		s.Scopes[b.Scope] = append(s.Scopes[b.Scope], d)
		s.stand(b.Scope, gateway.Suspended, b.Epoch)
	case *statement.Restore:
		s.Scopes[b.Scope] = append(s.Scopes[b.Scope], d)
		if s.state(b.Scope) == gateway.Restoring {
			s.stand(b.Scope, gateway.Active, b.Epoch)
		} else {
			s.stand(b.Scope, gateway.Restoring, b.Epoch-1)
		}
	case *statement.Advance:
		s.Scopes[b.Scope] = append(s.Scopes[b.Scope], d)
	}
}

func (s *Store) state(scope gateway.Scope) gateway.State {
	switch scope.Kind {
	case gateway.ScopeVendor:
		return s.Vendors[scope.Name].State
	case gateway.ScopePerson:
		return s.People[scope.Name].State
	}
	return s.Wide[scope].State
}

func (s *Store) stand(scope gateway.Scope, state gateway.State, epoch uint64) {
	switch scope.Kind {
	case gateway.ScopeVendor:
		v := s.Vendors[scope.Name]
		v.State, v.Epoch = state, epoch
		s.Vendors[scope.Name] = v
	case gateway.ScopePerson:
		p := s.People[scope.Name]
		p.State, p.Epoch = state, epoch
		s.People[scope.Name] = p
	default:
		s.Wide[scope] = Standing{State: state, Epoch: epoch}
	}
}
