package statement

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of how an account is proven.
const (
	maxSecretPath = 1024
	maxURL        = 512
	maxScopes     = 32
	maxFields     = 16
)

// proofs are those that a kind of target takes, and what each says of itself.
var proofs = map[gateway.TargetKind]map[gateway.ProofKind]needs{
	gateway.KindSSH: {
		gateway.ProofCertificate: {login: true}, gateway.ProofKey: {login: true, secret: true}, gateway.ProofPassword: {login: true, secret: true},
	},
	gateway.KindHTTPS: {
		gateway.ProofCertificate: {login: true}, gateway.ProofKey: {secret: true}, gateway.ProofPassword: {login: true, secret: true},
		gateway.ProofHeader: {secret: true}, gateway.ProofBearer: {secret: true}, gateway.ProofOAuth2: {login: true, secret: true},
		gateway.ProofForm: {secret: true}, gateway.ProofNone: {},
	},
	gateway.KindNetwork: {gateway.ProofNone: {}},
}

// proofOrder is the order in which people read of them.
var proofOrder = []gateway.ProofKind{
	gateway.ProofCertificate, gateway.ProofKey, gateway.ProofPassword, gateway.ProofHeader, gateway.ProofBearer, gateway.ProofOAuth2, gateway.ProofForm, gateway.ProofNone,
}

// needs is what an account says beside its name and proof.
type needs struct{ login, secret bool }

// Proofs lists how an account of such a target may be proven.
func Proofs(kind gateway.TargetKind) []gateway.ProofKind {
	return slices.DeleteFunc(slices.Clone(proofOrder), func(p gateway.ProofKind) bool {
		_, ok := proofs[kind][p]
		return !ok
	})
}

func checkAccount(kind gateway.TargetKind, a gateway.Account) error {
	if err := gateway.CheckName("account", a.Name); err != nil {
		return err
	}
	n, ok := proofs[kind][a.Proof]
	if !ok {
		return gateway.Invalid("proof", "proof %s of account %s is not one of %s", gateway.Quote(string(a.Proof)), a.Name, joined(Proofs(kind)))
	}
	if kind == gateway.KindNetwork && a.Login != "" {
		return gateway.Invalid("login", "account %s is of a network and has no user there", a.Name)
	}
	login := gateway.CheckUser
	if kind == gateway.KindSSH {
		login = gateway.CheckLogin
	}
	if n.login || a.Login != "" {
		if err := login(a.Login); err != nil {
			return err
		}
	}
	return first(checkSecretFile(a, n.secret), checkHeader(a), checkOAuth2(a), checkForm(a))
}

func checkSecretFile(a gateway.Account, needed bool) error {
	switch {
	case !needed && a.SecretFile == "":
		return nil
	case !needed:
		return gateway.Invalid("secret_file", "account %s is proven by %s and needs no secret file", a.Name, a.Proof)
	case !strings.HasPrefix(a.SecretFile, "/") || strings.Contains(a.SecretFile, "/../"):
		return gateway.Invalid("secret_file", "account %s is proven by %s: name the absolute path of the file that holds it", a.Name, a.Proof)
	}
	return gateway.CheckText("secret_file", a.SecretFile, maxSecretPath, false)
}

// unusable are header names that mean something to the connection, to the
// gateway or to the browser (RFC 9110 clauses 7.2 and 7.6.1, RFC 6265, RFC
// 7239): a secret in one would break the request or undo another rule.
var unusable = []string{
	"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "forwarded", "host", "keep-alive",
	"origin", "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "referer", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "via",
}

func checkHeader(a gateway.Account) error {
	name := strings.ToLower(a.Header)
	switch {
	case a.Proof != gateway.ProofHeader && name == "":
		return nil
	case a.Proof != gateway.ProofHeader:
		return gateway.Invalid("header", "account %s is proven by %s, which needs no header's name", a.Name, a.Proof)
	case !token(name):
		return gateway.Invalid("header", "account %s is proven by header: name one such as X-API-Key, not %s", a.Name, gateway.Quote(a.Header))
	case slices.Contains(unusable, name) || strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "access-control-"):
		return gateway.Invalid("header", "header %s means something to the connection, the gateway or the browser; a secret goes into one such as Authorization or X-API-Key", a.Header)
	}
	return nil
}

// token is RFC 9110 clause 5.6.2, in lower case, bounded.
func token(s string) bool {
	return s != "" && len(s) <= maxWord && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") == ""
}

func checkOAuth2(a gateway.Account) error {
	if a.Proof != gateway.ProofOAuth2 {
		if a.TokenURL != "" || len(a.Scopes) > 0 {
			return gateway.Invalid("token_url", "account %s is proven by %s, which needs neither token URL nor scopes", a.Name, a.Proof)
		}
		return nil
	}
	u, err := url.Parse(a.TokenURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(a.TokenURL) > maxURL || !visible(a.TokenURL) {
		return gateway.Invalid("token_url", "account %s is proven by oauth2: token URL %s is not https://HOST/PATH without a user and a fragment", a.Name, gateway.Quote(a.TokenURL))
	}
	for i, s := range a.Scopes {
		if s == "" || len(s) > maxWord || !visible(s) || strings.ContainsAny(s, `"\`) {
			return gateway.Invalid("scopes", "scope %s is not one word of printable ASCII", gateway.Quote(s))
		}
		if slices.Contains(a.Scopes[:i], s) {
			return gateway.Invalid("scopes", "scope %s stands twice", gateway.Quote(s))
		}
	}
	return bounded("scopes", len(a.Scopes), maxScopes)
}

// visible takes printable ASCII without blanks.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func checkForm(a gateway.Account) error {
	f := a.Form
	switch {
	case a.Proof != gateway.ProofForm && f == nil:
		return nil
	case a.Proof != gateway.ProofForm:
		return gateway.Invalid("form", "account %s is proven by %s, which needs no form", a.Name, a.Proof)
	case f == nil:
		return gateway.Invalid("form", "account %s is proven by form: say its page, where it is sent, and the names of its fields", a.Name)
	case f.Done != 0 && (f.Done < 200 || f.Done > 399):
		return gateway.Invalid("form", "done %d of account %s is not a status from 200 to 399", f.Done, a.Name)
	case f.Password == f.User:
		return gateway.Invalid("form", "the fields for user and password of account %s have one name", a.Name)
	case f.LoggedIn != "" && !token(strings.ToLower(f.LoggedIn)):
		return gateway.Invalid("form", "cookie %s of account %s is not the name of a cookie", gateway.Quote(f.LoggedIn), a.Name)
	case f.Token != "" && slices.Contains(strings.Split(f.Token, "."), ""):
		return gateway.Invalid("form", "token %s of account %s is not a dotted path such as data.access_token", gateway.Quote(f.Token), a.Name)
	case f.User != "" && a.Login == "":
		return gateway.Invalid("login", "account %s fills in the field %s: give the login", a.Name, gateway.Quote(f.User))
	}
	return first(formPath("page", f.Page), formPath("action", f.Action), gateway.CheckText("user", f.User, maxWord, false),
		gateway.CheckNeeded("password", f.Password, maxWord, false), gateway.CheckText("failed", f.Failed, maxURL, false),
		gateway.CheckText("token", f.Token, maxWord, false), checkFields(a))
}

func checkFields(a gateway.Account) error {
	f := a.Form
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
		if name == f.User || name == f.Password {
			return gateway.Invalid("fields", "field %s of account %s is filled in already", gateway.Quote(name), a.Name)
		}
		if err := first(gateway.CheckNeeded("fields", name, maxWord, false), gateway.CheckText("fields", f.Fields[name], maxURL, false)); err != nil {
			return err
		}
	}
	return bounded("fields", len(f.Fields), maxFields)
}

// formPath takes a path at the console, with or without a query, that no
// browser and no library reads as another host.
func formPath(what, s string) error {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, `\#`) || len(s) > maxURL || !visible(s) {
		return gateway.Invalid(what, "%s %s is not a path at the console such as /login", what, gateway.Quote(s))
	}
	return nil
}

// accountWords tells how an account is proven, and never the secret.
func accountWords(a gateway.Account) string {
	s := fmt.Sprintf("%s (user %s by %s", a.Name, a.Login, a.Proof)
	if a.Login == "" {
		s = fmt.Sprintf("%s (by %s", a.Name, a.Proof)
	}
	switch a.Proof {
	case gateway.ProofHeader:
		s += " " + a.Header
	case gateway.ProofOAuth2:
		s += " at " + a.TokenURL
		if len(a.Scopes) > 0 {
			s += " for " + strings.Join(a.Scopes, " ")
		}
	case gateway.ProofForm:
		s += formWords(a.Form)
	case gateway.ProofNone:
		s += " of the gateway's: the console lets in everybody or asks the engineer"
	}
	if a.SecretFile != "" {
		s += " from " + a.SecretFile
	}
	return s + ")"
}

func formWords(f *gateway.Form) string {
	how := "a form"
	if f.JSON {
		how = "JSON"
	}
	var names []string
	for _, n := range []string{f.User, f.Password} {
		if n != "" {
			names = append(names, gateway.Quote(n))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(f.Fields)) {
		names = append(names, gateway.Quote(n)+" = "+gateway.Quote(f.Fields[n]))
	}
	return fmt.Sprintf(" of %s sent to %s as %s with %s", f.Page, f.Action, how, strings.Join(names, ", "))
}
