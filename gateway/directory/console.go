package directory

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
)

// What a target says beside its address: how it proves its name, and how its
// accounts are proven to it; read, written and spelt out in one place.

type httpsOut struct {
	Trust      gateway.TLSTrust `yaml:"trust"`
	CA         string           `yaml:"ca,omitempty"`
	Pins       []string         `yaml:"pins,omitempty"`
	ServerName string           `yaml:"server_name,omitempty"`
	Host       gateway.HostRule `yaml:"host,omitempty"`
	Redact     []string         `yaml:"redact,omitempty"`
}

type accountOut struct {
	Name       string            `yaml:"name"`
	Login      string            `yaml:"login,omitempty"`
	Proof      gateway.ProofKind `yaml:"proof"`
	SecretFile string            `yaml:"secret_file,omitempty"`
	Header     string            `yaml:"header,omitempty"`
	TokenURL   string            `yaml:"token_url,omitempty"`
	Scopes     []string          `yaml:"scopes,omitempty"`
	Form       *formOut          `yaml:"form,omitempty"`
}

type formOut struct {
	Page     string            `yaml:"page"`
	Action   string            `yaml:"action"`
	User     string            `yaml:"user,omitempty"`
	Password string            `yaml:"password"`
	Fields   map[string]string `yaml:"fields,omitempty"`
	JSON     bool              `yaml:"json,omitempty"`
	Done     int               `yaml:"done,omitempty"`
	Token    string            `yaml:"token,omitempty"`
	Failed   string            `yaml:"failed,omitempty"`
	LoggedIn string            `yaml:"cookie,omitempty"`
}

func accountsOut(list []gateway.Account) []accountOut {
	out := make([]accountOut, len(list))
	for i, a := range list {
		out[i] = accountOut{a.Name, a.Login, a.Proof, a.SecretFile, a.Header, a.TokenURL, a.Scopes, (*formOut)(a.Form)}
	}
	return out
}

func readHTTPS(n *yaml.Node) (*gateway.HTTPS, error) {
	h := new(gateway.HTTPS)
	var trust, host string
	err := mapping(n, "https", map[string]field{
		"trust": into("trust", &trust), "ca": into("ca", &h.CA), "server_name": into("server_name", &h.ServerName), "host": into("host", &host),
		"pins":   func(n *yaml.Node) error { return texts(n, "pins", adding(&h.Pins)) },
		"redact": func(n *yaml.Node) error { return texts(n, "redact", adding(&h.Redact)) },
	})
	h.Trust, h.Host = gateway.TLSTrust(trust), gateway.HostRule(host)
	return h, err
}

func readAccount(n *yaml.Node) (gateway.Account, error) {
	var a gateway.Account
	var proof string
	err := mapping(n, "an account", map[string]field{
		"name": into("name", &a.Name), "login": into("login", &a.Login), "proof": into("proof", &proof), "secret_file": into("secret_file", &a.SecretFile),
		"header": into("header", &a.Header), "token_url": into("token_url", &a.TokenURL),
		"scopes": func(n *yaml.Node) error { return texts(n, "scopes", adding(&a.Scopes)) },
		"form": func(n *yaml.Node) (err error) {
			a.Form, err = readForm(n)
			return err
		},
	})
	a.Proof = gateway.ProofKind(proof)
	return a, err
}

func readForm(n *yaml.Node) (*gateway.Form, error) {
	f := new(gateway.Form)
	return f, mapping(n, "form", map[string]field{
		"page": into("page", &f.Page), "action": into("action", &f.Action), "user": into("user", &f.User), "password": into("password", &f.Password),
		"token": into("token", &f.Token), "failed": into("failed", &f.Failed), "cookie": into("cookie", &f.LoggedIn),
		"json":   func(n *yaml.Node) error { return truth(n, "json", &f.JSON) },
		"done":   func(n *yaml.Node) error { return number(n, "done", &f.Done) },
		"fields": func(n *yaml.Node) error { return pairs(n, "fields", &f.Fields) },
	})
}

// pairs reads names with texts.
func pairs(n *yaml.Node, what string, to *map[string]string) error {
	if err := plain(n); err != nil {
		return err
	}
	fields, all := make(map[string]field), make(map[string]*string)
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		all[name] = new(string)
		fields[name] = into(name, all[name])
	}
	if err := mapping(n, what, fields); err != nil {
		return err
	}
	*to = make(map[string]string, len(all))
	for name, value := range all {
		(*to)[name] = *value
	}
	return nil
}

// number reads a whole number without a sign.
func number(n *yaml.Node, what string, to *int) error {
	if err := plain(n); err != nil {
		return err
	}
	v, err := strconv.ParseUint(n.Value, 10, 31)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
		return at(n, "%s is a whole number, not %s", what, shape(n))
	}
	*to = int(v)
	return nil
}

// console spells out what is said of a console. Of its authorities it gives the
// digest: what they are stands in the statement.
func console(h *gateway.HTTPS) string {
	if h == nil {
		return ""
	}
	s := "trust " + string(h.Trust)
	if h.CA != "" {
		s += fmt.Sprintf(", ca of SHA-256 %x", sha256.Sum256([]byte(h.CA)))
	}
	for _, part := range []struct{ name, text string }{
		{"pins", list(h.Pins)}, {"server_name", quote(h.ServerName)}, {"host", quote(string(h.Host))}, {"redact", quotes(h.Redact)},
	} {
		if part.text != "" {
			s += ", " + part.name + " " + part.text
		}
	}
	return s
}

func account(a gateway.Account) string {
	s := fmt.Sprintf("%s (login %q by %s", a.Name, a.Login, a.Proof)
	for _, part := range []struct{ name, text string }{
		{"header", quote(a.Header)}, {"at", quote(a.TokenURL)}, {"for", quotes(a.Scopes)}, {"through", form(a.Form)}, {"from", quote(a.SecretFile)},
	} {
		if part.text != "" {
			s += " " + part.name + " " + part.text
		}
	}
	return s + ")"
}

func form(f *gateway.Form) string {
	if f == nil {
		return ""
	}
	s := fmt.Sprintf("%q to %q with user %q, password %q", f.Page, f.Action, f.User, f.Password)
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
		s += fmt.Sprintf(", %q = %q", name, f.Fields[name])
	}
	if f.JSON {
		s += ", as JSON"
	}
	for _, part := range []struct{ name, text string }{
		{"done", strings.TrimPrefix(strconv.Itoa(f.Done), "0")}, {"token", quote(f.Token)}, {"failed", quote(f.Failed)}, {"cookie", quote(f.LoggedIn)},
	} {
		if part.text != "" {
			s += ", " + part.name + " " + part.text
		}
	}
	return s
}
