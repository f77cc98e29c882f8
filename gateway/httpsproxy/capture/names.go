package capture

// secretNames are names, as plain writes them, whose values are never recorded.
var secretNames = []string{
	"authorization", "proxyauthorization", "authenticationinfo", "proxyauthenticationinfo", "cookie", "setcookie",
	"password", "passwd", "pwd", "pass", "passphrase", "pin", "otp", "totp", "secret", "token", "apikey", "auth", "code",
	"sid", "session", "sessionid", "jsessionid", "phpsessid", "credential", "credentials", "privatekey", "assertion",
	"clientassertion", "samlresponse", "samlrequest", "signature", "sig", "jwt", "bearer", "xamzsecuritytoken", "psk",
}

// secretEndings make a secret of every name that ends with one of them.
var secretEndings = []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey", "sessionid", "accesskey", "secretkey"}

// maxName is the longest name that is looked at; a longer one is secret.
const maxName = 256

// names tells secret names from others.
type names struct{ exact map[string]struct{} }

func newNames(more []string) names {
	n := names{exact: make(map[string]struct{}, len(secretNames)+len(more))}
	for _, s := range secretNames {
		n.exact[s] = struct{}{}
	}
	for _, s := range more {
		n.exact[string(plain(nil, s))] = struct{}{}
	}
	return n
}

func (n names) secret(name string) bool {
	if len(name) > maxName {
		return true
	}
	var room [maxName]byte
	p := plain(room[:0], name)
	if _, ok := n.exact[string(p)]; ok {
		return true
	}
	for _, e := range secretEndings {
		if len(p) >= len(e) && string(p[len(p)-len(e):]) == e {
			return true
		}
	}
	return false
}

// plain appends a name in the one spelling that is compared: X-Api_Key and
// xApiKey are the same to those who write programs.
func plain(b []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c == '-' || c == '_' || c == '.' || c == ' ' || c == '[' || c == ']':
		default:
			b = append(b, c)
		}
	}
	return b
}
