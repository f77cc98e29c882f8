package identity

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Store keeps authenticators, SSH keys, invitations, logins and the people's
// accounts at identity providers. Reads answer gateway.ErrNotFound for what
// is not there.
type Store interface {
	Services(ctx context.Context) ([]gateway.Person, error) // service accounts, removed ones too
	Authenticator(ctx context.Context, credential string) (gateway.Authenticator, error)
	Authenticators(ctx context.Context, person string) ([]gateway.Authenticator, error) // removed ones too, oldest first
	SSHKey(ctx context.Context, fingerprint string) (gateway.SSHKey, error)
	SSHKeys(ctx context.Context, person string) ([]gateway.SSHKey, error)
	SSHCertificate(ctx context.Context, fingerprint string) (gateway.SSHCertificate, error)
	SSHCertificates(ctx context.Context, person string) ([]gateway.SSHCertificate, error) // newest first, revoked and ended ones too
	Invitation(ctx context.Context, id string) (gateway.Invitation, error)
	InvitationByKey(ctx context.Context, publicKey []byte) (gateway.Invitation, error)
	Login(ctx context.Context, hash gateway.Digest) (gateway.Login, error)
	Logins(ctx context.Context, person string) ([]gateway.Login, error)
	// Subject returns the person who is bound to a provider's subject.
	Subject(ctx context.Context, provider, subject string) (person string, err error)
	// PersonByEmail finds a person of that vendor (empty: the staff) by mail address.
	PersonByEmail(ctx context.Context, vendor, email string) (gateway.Person, error)
	// SeenLogin moves a login's last-seen time. It is not worth a durable
	// commit: losing it shortens the login.
	SeenLogin(ctx context.Context, hash gateway.Digest, at time.Time) error
	Update(ctx context.Context, f func(Tx) error) error
}

// Tx writes.
type Tx interface {
	audit.Tx
	PutStatement(s statement.Signed) error
	// UseServiceToken uses up a service account's token, known by a digest, until
	// it expires; gateway.ErrUsed if it was used.
	UseServiceToken(token gateway.Digest, expires, now time.Time) error
	PutAuthenticator(a gateway.Authenticator) error // gateway.ErrUsed if the credential id was ever enrolled
	RemoveAuthenticator(credential string, at time.Time) error
	// SetCounter moves the signature counter by compare-and-swap;
	// gateway.ErrStale if it is not from any more.
	SetCounter(credential string, from, to uint32) error
	PutSSHKey(k gateway.SSHKey) error // gateway.ErrUsed if the key was ever added, by anybody
	RemoveSSHKey(fingerprint string, at time.Time) error
	// SetSSHCounter is SetCounter for an SSH security key.
	SetSSHCounter(fingerprint string, from, to uint32) error
	PutSSHCertificate(c gateway.SSHCertificate) error // gateway.ErrUsed if the key was ever certified
	RemoveSSHCertificate(fingerprint string, at time.Time) error
	PutInvitation(i gateway.Invitation) error
	// UseInvitation marks it used; gateway.ErrUsed if it was.
	UseInvitation(id string, at time.Time) error
	PutLogin(l gateway.Login) error
	DeleteLogin(hash gateway.Digest) error // no error if it is gone
	DeleteLogins(person string) (int, error)
	// BindSubject ties a provider's subject to a person for ever;
	// gateway.ErrUsed if either of the two is tied already at that provider.
	BindSubject(provider, subject, person string) error
}
