// Package portcullis_test holds the repository itself to its plan: which room
// may import which, what stands at the top level, and that every room says
// what it is for. It parses the files; asking the go command instead would be
// answered from the test cache after a room has changed.
package portcullis_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/portcullis/portcullis"

// A room may import what stands in its line, and the words of gateway and
// gateway/statement where it is not told otherwise. Everything else is a
// forbidden arrow, and because is what the one who drew it is told.
var rooms = []struct {
	room    string   // folder; "x/*" is every folder below x
	may     []string // folders of ours; "*" is all but cmd
	because string
}{
	{"gateway", nil, "the shared words know nobody, so that everybody may know them"},
	{"gateway/statement", []string{"gateway"}, "what is signed depends on the words alone, or its meaning could drift"},
	{"policy", nil, "a decision is pure: facts in, verdict out; what it could reach it could be steered by"},
	{"certs", nil, "the seal serves whoever access lets; it must not know why"},
	{"gateway/trust", nil, "the chain is checked from signed bytes; a room that it leans on would have to be trusted too"},
	{"gateway/trust/trusttest", []string{"gateway/trust", "gateway/directory", "gateway/identity/softkey"}, "a fixture stands on the chain and a software key, not on the rooms that use it"},
	{"gateway/audit", nil, "every room writes to the log; a log that knows a room makes a circle"},
	{"gateway/recording", nil, "a recording must be writable and provable when everything else is broken"},
	{"gateway/recording/search", []string{"gateway/recording"}, "an index is derived from recordings; nothing that writes or proves one may wait for it"},
	{"gateway/directory", []string{"gateway/audit", "gateway/trust"}, "who and what there is does not depend on what they do"},
	{"gateway/identity", []string{"gateway/audit", "gateway/trust"}, "who you are must not depend on what you may"},
	{"gateway/identity/softkey", nil, "a key outside the gateway knows nothing of its inside"},
	{"gateway/access", []string{"gateway/audit", "gateway/trust", "policy", "certs"}, "access alone asks policy and reaches certs; it must not know what carries the session"},
	{"gateway/secrets", []string{"gateway/audit"}, "it tells what others did and must not be able to do it: it reads rows, events and the times of files, and no secret"},
	{"gateway/session", []string{"gateway/audit", "gateway/recording"}, "a session asks access through an interface of its own, so that no proxy and no test can go round it"},
	{"gateway/killswitch", []string{"gateway/audit", "gateway/trust", "gateway/cluster"}, "the gate ends sessions through an interface; what it must stop must not be able to stop it"},
	{"gateway/evidence", nil, "what is verified offline may lean on nothing that runs"},
	{"gateway/cluster", nil, "the bus carries names and numbers; it decides nothing"},
	{"gateway/cluster/bustest", []string{"gateway/cluster"}, "one suite holds every driver of the bus; it knows the bus alone"},
	{"gateway/cluster/redis", []string{"gateway/cluster"}, "a driver of the bus knows the bus alone"},
	{"gateway/cluster/redis/redistest", nil, "a server for tests knows no bus"},
	{"gateway/cluster/handover", nil, "it brings a call to another node and knows nothing of what is called"},
	{"gateway/socket", nil, "it ends sockets and knows nobody whose they are"},
	{"gateway/sshproxy", []string{"gateway/sshproxy/transfer", "gateway/socket"}, "a proxy carries: it never decides, signs, stores, or knows another proxy"},
	{"gateway/sshproxy/transfer", nil, "what reads a stranger's bytes is pure: it can reach nothing that the bytes could steer"},
	{"gateway/httpsproxy", []string{"gateway/httpsproxy/capture", "gateway/socket"}, "a proxy carries: it never decides, signs, stores, or knows another proxy"},
	{"gateway/httpsproxy/capture", nil, "what reads a stranger's bytes is pure: it can reach nothing that the bytes could steer"},
	{"gateway/vpn", []string{"gateway/vpn/hint"}, "a proxy carries: it never decides, signs, stores, or knows another proxy"},
	{"gateway/vpn/hint", nil, "what reads a stranger's bytes is pure: it can reach nothing that the bytes could steer"},
	{"gateway/store", storeRooms, "the store keeps rooms' records behind the rooms' own interfaces; it calls none of them"},
	{"gateway/store/storetest", append([]string{"gateway/store", "gateway/store/sqlite"}, storeRooms...), "the one suite may open the dialects that it holds to one promise, and calls no room"},
	{"gateway/store/postgres/pgtest", nil, "a server for tests knows no table, so that e2e may start it too"},
	{"gateway/store/*", append([]string{"gateway/store"}, storeRooms...), "a dialect keeps the same promise as its sister; it calls no room"},
	{"web", []string{"*"}, "a page shows rooms"},
	{"web/*", []string{"*"}, "a page shows rooms"},
	{"cmd/*", []string{"*"}, "cmd joins the rooms"},
	{"e2e", []string{"e2e/rig", "gateway/store/postgres/pgtest"}, "what drives the built binary must not share its code, or both are wrong together"},
	{"e2e/*", []string{"e2e/rig", "gateway/store/postgres/pgtest"}, "what drives the built binary must not share its code, or both are wrong together"},
}

var (
	storeRooms = []string{"gateway/directory", "gateway/trust", "gateway/identity", "gateway/access", "gateway/session", "gateway/killswitch", "gateway/audit", "gateway/cluster"}
	topLevel   = []string{"cmd", "gateway", "policy", "web", "certs", "e2e", "deploy"}
)

// foreign are the arrows out of the repository that only some folders may
// draw.
var foreign = []struct {
	path    string
	only    []string
	because string
}{
	{"math/rand", nil, "a number that can be foretold becomes a token one day; use crypto/rand"},
	{"math/rand/v2", nil, "a number that can be foretold becomes a token one day; use crypto/rand"},
	{"os/exec", []string{"cmd", "e2e", "gateway/store/postgres/pgtest", "gateway/cluster/redis/redistest"}, "nothing that a vendor sends may reach a command line: the serving rooms run no programs"},
	{"database/sql", []string{"gateway/store", "gateway/recording/search"}, "a room asks its store interface; SQL in two places is two truths (the search index holds none: it is derived)"},
	{"unsafe", []string{"gateway/socket"}, "one figure has asked for it: a reset in place (connect to no address) has no other way to the kernel, and 2,000 closes that wait for their readers took three times as long"},
	{"log", []string{"cmd"}, "rooms are handed a *slog.Logger; the global one belongs to nobody"},
}

func TestArrows(t *testing.T) {
	for file, tree := range parseAll(t, parser.ImportsOnly) {
		test := strings.HasSuffix(file, "_test.go")
		for _, clause := range tree.Imports {
			to, err := strconv.Unquote(clause.Path.Value)
			if err != nil {
				t.Fatalf("%s: import clause %s: %v", file, clause.Path.Value, err)
			}
			checkForeign(t, file, to, test)
			if to == module || strings.HasPrefix(to, module+"/") {
				checkOurs(t, file, strings.TrimPrefix(strings.TrimPrefix(to, module), "/"), test)
			}
		}
	}
}

func checkOurs(t *testing.T, file, to string, test bool) {
	t.Helper()
	from := path.Dir(file)
	if to == "cmd" || strings.HasPrefix(to, "cmd/") {
		t.Errorf("%s imports %s: cmd joins the rooms, so nothing may lean on cmd", file, to)
		return
	}
	may, because, known := rule(from)
	if !known {
		t.Errorf("%s: %s is a new room; add its line to the table of arrows and say why it may know whom", file, from)
		return
	}
	outside := from == "gateway" || from == "e2e" || strings.HasPrefix(from, "e2e/") // not even the shared words
	if test && !strings.HasPrefix(from, "e2e") {
		return // a room's tests may borrow real neighbours; e2e may not even then
	}
	word := to == "gateway" || to == "gateway/statement"
	if to == from || word && !outside && from != "gateway/statement" || slices.Contains(may, to) || slices.Contains(may, "*") {
		return
	}
	t.Errorf("%s: forbidden arrow %s -> %s: %s", file, from, to, because)
}

func rule(from string) (may []string, because string, known bool) {
	for _, r := range rooms {
		if r.room == from || strings.HasSuffix(r.room, "/*") && strings.HasPrefix(from, strings.TrimSuffix(r.room, "*")) {
			return r.may, r.because, true
		}
	}
	return nil, "", false
}

func checkForeign(t *testing.T, file, to string, test bool) {
	t.Helper()
	for _, f := range foreign {
		below := slices.ContainsFunc(f.only, func(dir string) bool { return strings.HasPrefix(file, dir+"/") })
		if f.path != to || below || test {
			continue
		}
		t.Errorf("%s: forbidden import %s: %s", file, to, f.because)
	}
}

func TestEveryRoomSaysWhatItIsFor(t *testing.T) {
	said := map[string]bool{}
	for file, tree := range parseAll(t, parser.ImportsOnly|parser.ParseComments) {
		dir := path.Dir(file)
		if strings.HasSuffix(file, "_test.go") && dir != "e2e" {
			continue
		}
		said[dir] = said[dir] || strings.TrimSpace(tree.Doc.Text()) != ""
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment: say what it owns, what not, who calls it, and what it promises when something fails", dir)
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	built := []string{"bin", "demo-data"} // ignored by git
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) && !slices.Contains(built, e.Name()) {
			t.Errorf("folder %s: the top level is fixed: %s", e.Name(), strings.Join(topLevel, ", "))
		}
	}
}

// TestNothingPointsAtOneMachine: a path of the machine where a line was
// written, or the registry it was fetched from, is wrong everywhere else. The
// words stand here in halves, or this file would find itself.
func TestNothingPointsAtOneMachine(t *testing.T) {
	words := []string{
		"/wo" + "rk/", "/tm" + "p/contract", "/ro" + "ot/", "/Us" + "ers/",
		"registry.npm" + "js.org", "registry.yarn" + "pkg.com", "proxy.golang" + ".org",
	}
	names := []string{"utils", "util", "common", "helpers", "models", "pkg", "misc"}
	walk(t, func(file string) {
		if dir := path.Base(path.Dir(file)); slices.Contains(names, dir) {
			t.Errorf("%s: %q names no room; put it in the room whose step of the story it serves", file, dir)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(raw, 0) >= 0 {
			return
		}
		for n, line := range strings.Split(string(raw), "\n") {
			for _, w := range words {
				if strings.Contains(line, w) {
					t.Errorf("%s:%d names %q", file, n+1, w)
				}
			}
		}
	})
}

// TestSecurityNamesRealTests: a defence in SECURITY.md is told together with
// the test that tries to break it, and that test is there.
func TestSecurityNamesRealTests(t *testing.T) {
	raw, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, tree := range parseAll(t, parser.SkipObjectResolution) {
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				have[f.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(raw), -1)
	if len(named) < 10 {
		t.Fatalf("SECURITY.md names %d tests", len(named))
	}
	for _, n := range named {
		if !have[n[1]] {
			t.Errorf("SECURITY.md claims a defence by %s, and there is no such test", n[1])
		}
	}
}

// parseAll maps slash paths to parsed files.
func parseAll(t *testing.T, mode parser.Mode) map[string]*ast.File {
	t.Helper()
	trees, set := map[string]*ast.File{}, token.NewFileSet()
	walk(t, func(file string) {
		if !strings.HasSuffix(file, ".go") {
			return
		}
		tree, err := parser.ParseFile(set, file, nil, mode)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		trees[file] = tree
	})
	if len(trees) == 0 {
		t.Fatal("no Go file was found: the walk is broken")
	}
	return trees
}

// walk visits each regular file that could be committed.
func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	skip := []string{".git", ".tools", "bin", "demo-data", "node_modules", "dist"}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skip, d.Name()):
			return filepath.SkipDir
		case d.Type().IsRegular() && d.Name() != "bench.txt" && d.Name() != ".git": // a second work tree has a file of that name
			visit(filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
