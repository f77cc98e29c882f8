package web

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// What the form offers for a web console: how much at once, or method by
// method.
const (
	levelLook   = "look"
	levelWork   = "work"
	levelCustom = "custom"
)

const (
	pathWord        = "path "
	maxUploadWord   = "max-upload "
	maxDownloadWord = "max-download "
	rateWord        = "rate "
	volumeInWord    = "volume-in "
	volumeOutWord   = "volume-out "
	megabyte        = 1_000_000
)

// workMethods are what a console needs when somebody works on it.
func workMethods() []string {
	return append(gateway.ReadMethods(), "POST", "PUT", "PATCH", "DELETE")
}

// consoleAsk is the part of the request form that is for web consoles, as it
// was filled in.
type consoleAsk struct {
	Level   string
	Methods []string // of levelCustom
	All     []string // methods that there are
	Paths   string   // one prefix a line, as typed
	Can     []string // websocket, upload, download
	Up      string   // MB of one upload; "" no bound
	Down    string   // MB of one download; "" no bound
	Rate    string   // of a service account: requests a second; "" none typed
	In, Out string   // of a service account: MB to the console and from it in all
}

func readConsole(q url.Values) consoleAsk {
	plain := func(key string) string { return strings.ReplaceAll(q.Get(key), "\r\n", "\n") }
	c := consoleAsk{Level: levelLook, Methods: q["method"], All: gateway.HTTPMethods(), Paths: plain("paths"), Can: q["http"], Up: q.Get("up"), Down: q.Get("down"), Rate: q.Get("rate"), In: q.Get("service_in"), Out: q.Get("service_out")}
	if l := q.Get("level"); l == levelWork || l == levelCustom {
		c.Level = l
	}
	return c
}

// like fills the form in as an earlier request was.
func (c *consoleAsk) like(a gateway.Abilities) {
	c.Level, c.Methods, c.Can, c.Paths = levelCustom, a.Methods, nil, strings.Join(a.Paths, "\n")
	switch {
	case sameSet(a.Methods, gateway.ReadMethods()):
		c.Level = levelLook
	case sameSet(a.Methods, workMethods()):
		c.Level = levelWork
	}
	for _, x := range []struct {
		has  bool
		word string
	}{{a.WebSocket, "websocket"}, {a.Upload, "upload"}, {a.Download, "download"}} {
		if x.has {
			c.Can = append(c.Can, x.word)
		}
	}
	c.Up, c.Down = megabytes(a.MaxUpload), megabytes(a.MaxDownload)
	c.In, c.Out = megabytes(a.VolumeIn), megabytes(a.VolumeOut)
	if a.Rate > 0 {
		c.Rate = strconv.FormatInt(a.Rate, 10)
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func megabytes(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(n)/megabyte, 'f', -1, 64)
}

// abilities are what the form asks for, as they are signed.
func (c consoleAsk) abilities() ([]string, error) {
	var list []string
	switch c.Level {
	case levelLook:
		list = gateway.ReadMethods()
	case levelWork:
		list = workMethods()
	default:
		list = slices.Clone(c.Methods)
	}
	paths := strings.Fields(c.Paths)
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	for i, p := range paths {
		if _, err := gateway.ParseAbilities([]string{pathWord + p}); err != nil {
			no := gateway.Invalid("paths", "path %d: %s", i+1, gateway.AsError(err).Text)
			no.Next = "write how the paths of that part begin, such as /reports, without anything after ? or #"
			return nil, no
		}
		list = append(list, pathWord+p)
	}
	list = append(list, c.Can...)
	for _, x := range []struct{ typed, of, word, what string }{{c.Up, "upload", maxUploadWord, "up"}, {c.Down, "download", maxDownloadWord, "down"}} {
		if x.typed == "" || !slices.Contains(c.Can, x.of) {
			continue
		}
		n, err := readMegabytes(x.what, x.typed)
		if err != nil {
			return nil, err
		}
		list = append(list, x.word+n)
	}
	return list, nil
}

// limits are what a service account has to state besides.
func (c consoleAsk) limits() ([]string, error) {
	rate, err := strconv.ParseUint(c.Rate, 10, 31)
	if err != nil || rate == 0 {
		return nil, gateway.Invalid("rate", "%s is not a number of requests a second above 0", gateway.Quote(c.Rate))
	}
	in, err := readMegabytes("service_in", c.In)
	if err != nil {
		return nil, err
	}
	out, err := readMegabytes("service_out", c.Out)
	return []string{rateWord + strconv.FormatUint(rate, 10), volumeInWord + in, volumeOutWord + out}, err
}

// readMegabytes reads a size as it was typed, and spells its bytes.
func readMegabytes(what, typed string) (bytes string, err error) {
	mb, err := strconv.ParseFloat(typed, 64)
	if err != nil || !(mb > 0 && mb <= megabyte) {
		return "", gateway.Invalid(what, "%s MB is not a size above 0", gateway.Quote(typed))
	}
	return strconv.FormatInt(max(int64(mb*megabyte), 1), 10), nil
}

// ofConsole words one ability of a grant for a web console.
func ofConsole(word string) ability {
	path, isPath := strings.CutPrefix(word, pathWord)
	up, isUp := strings.CutPrefix(word, maxUploadWord)
	down, isDown := strings.CutPrefix(word, maxDownloadWord)
	rate, isRate := strings.CutPrefix(word, rateWord)
	in, isIn := strings.CutPrefix(word, volumeInWord)
	out, isOut := strings.CutPrefix(word, volumeOutWord)
	bytes := func(s string) string {
		n, _ := strconv.ParseInt(s, 10, 64) // List has written it
		return size(n)
	}
	switch {
	case word == "websocket":
		return ability{word, "live connections, and whatever passes in them both ways"}
	case word == "upload":
		return ability{word, "files to the console"}
	case word == "download":
		return ability{word, "files that the console gives to be saved"}
	case isPath && path == "/":
		return ability{word, "all of the console"}
	case isPath:
		return ability{word, "what begins with " + path}
	case isUp:
		return ability{word, "at most " + bytes(up) + " in one request"}
	case isDown:
		return ability{word, "at most " + bytes(down) + " in one file"}
	case isRate:
		return ability{word, "at most " + rate + " requests a second"}
	case isIn:
		return ability{word, "at most " + bytes(in) + " to the target in all"}
	case isOut:
		return ability{word, "at most " + bytes(out) + " from the target in all"}
	case slices.Contains(gateway.ReadMethods(), word):
		return ability{word, "looking"}
	}
	return ability{word, "changing"}
}

// methodsOf words all methods of a grant as one.
func methodsOf(a gateway.Abilities) ability {
	says := "looking and changing"
	switch {
	case sameSet(a.Methods, gateway.ReadMethods()):
		says = "looking, without changing anything"
	case a.ReadOnly():
		says = "looking alone"
	}
	return ability{strings.Join(a.Methods, ", "), says}
}

// accountLine is an account as the definition's form has it: name, login (- for
// none), proof, file, and what else the proof needs as KEY=VALUE. Words with
// blanks stand in quotes, as JSON writes them.
func accountLine(a gateway.Account) string {
	words := []string{a.Name, a.Login, string(a.Proof)}
	if a.Login == "" {
		words[1] = "-"
	}
	if a.SecretFile != "" {
		words = append(words, a.SecretFile)
	}
	add := func(key, value string) {
		if value != "" {
			words = append(words, key+"="+value)
		}
	}
	add("header", a.Header)
	add("token_url", a.TokenURL)
	add("scopes", strings.Join(a.Scopes, " "))
	if f := a.Form; f != nil {
		add("page", f.Page)
		add("action", f.Action)
		add("user", f.User)
		add("password", f.Password)
		for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
			words = append(words, "field."+name+"="+f.Fields[name])
		}
		if f.JSON {
			add("json", "true")
		}
		if f.Done != 0 {
			add("done", strconv.Itoa(f.Done))
		}
		add("token", f.Token)
		add("failed", f.Failed)
		add("cookie", f.LoggedIn)
	}
	for i, w := range words {
		if strings.ContainsAny(w, " \"\\") {
			quoted, _ := json.Marshal(w) // a text always has a JSON form
			words[i] = string(quoted)
		}
	}
	return strings.Join(words, " ")
}
