package policy

import (
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of what is read from a policy folder.
const (
	MaxFile  = 1 << 20 // bytes of one file
	MaxRules = 1000
)

//go:embed schema.cedarschema
var schemaText []byte

//go:embed default/*.cedar
var defaultFiles embed.FS

// Set is a set of rules that was read and checked. It does not change and may
// be used by many goroutines at once.
type Set struct {
	rules     *cedar.PolicySet
	obliges   map[cedar.PolicyID]obligation
	hash      gateway.Digest
	validator *validate.Validator
}

// Problem is one fault of a policy folder.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // from 1; 0 if it is about the whole file
	Text string `json:"text"`
}

// String returns "ask.cedar:12: text".
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Load reads the .cedar files at the top of fsys. It is strict: each rule needs
// an @id of its own and a @reason, fits the schema, and carries known
// annotations only. The error names each fault's file and line.
func Load(fsys fs.FS) (*Set, error) {
	set, problems := load(fsys)
	if len(problems) == 0 {
		return set, nil
	}
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = errors.New(p.String())
	}
	return nil, fmt.Errorf("policy does not hold: %w", errors.Join(errs...))
}

// Check lists all that is wrong with a policy folder, in the order of files
// and lines.
func Check(fsys fs.FS) []Problem {
	_, problems := load(fsys)
	return problems
}

// Default is the set that the binary carries. It is made of files that a test
// loads, so it cannot be wrong in a binary that was tested.
func Default() *Set {
	set, err := Load(DefaultFiles())
	if err != nil {
		panic(err)
	}
	return set
}

// DefaultFiles is the default set's text, to be copied and changed.
func DefaultFiles() fs.FS {
	sub, err := fs.Sub(defaultFiles, "default")
	if err != nil {
		panic(err)
	}
	return sub
}

// Hash is the SHA-256 over the files' names and bytes: which policy decided.
func (s *Set) Hash() gateway.Digest { return s.hash }

func load(fsys fs.FS) (*Set, []Problem) {
	validator, err := newValidator()
	if err != nil {
		return nil, []Problem{{File: "schema.cedarschema", Text: err.Error()}}
	}
	names, problems := files(fsys)
	set := &Set{rules: cedar.NewPolicySet(), obliges: make(map[cedar.PolicyID]obligation), validator: validator}
	sum := sha256.New()
	for _, name := range names {
		text, err := readFile(fsys, name)
		if err != nil {
			problems = append(problems, Problem{File: name, Text: err.Error()})
			continue
		}
		for _, part := range [][]byte{[]byte(name), text} {
			_ = binary.Write(sum, binary.BigEndian, uint64(len(part))) // a hash takes all that it is given
			_, _ = sum.Write(part)
		}
		problems = append(problems, set.add(name, text)...)
	}
	set.hash = gateway.Digest(sum.Sum(nil))
	if len(problems) == 0 && len(set.obliges) == 0 {
		problems = append(problems, Problem{File: ".", Text: "there is no rule in any .cedar file, so nothing would ever be allowed"})
	}
	return set, problems
}

// files lists the rule files. A file of another ending is a fault: a forbid in
// "night.ceder" would be silently missing.
func files(fsys fs.FS) (names []string, problems []Problem) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, []Problem{{File: ".", Text: err.Error()}}
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "."), path.Ext(name) == ".md": // a mounted volume keeps its own names beside ours
		case e.IsDir():
			problems = append(problems, Problem{File: name, Text: "folders inside the policy folder are not read; move its files up"})
		case path.Ext(name) != ".cedar":
			problems = append(problems, Problem{File: name, Text: "only .cedar and .md files may stand in the policy folder"})
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, problems
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxFile {
		return nil, fmt.Errorf("file is larger than %d bytes", MaxFile)
	}
	return text, nil
}

// add reads one file's rules into the set.
func (s *Set) add(file string, text []byte) []Problem {
	list, err := cedar.NewPolicyListFromBytes(file, text)
	if err != nil {
		return []Problem{{File: file, Text: err.Error()}} // Cedar's own text names the line
	}
	var problems []Problem
	for _, p := range list {
		line := p.Position().Line
		say := func(format string, args ...any) {
			problems = append(problems, Problem{File: file, Line: line, Text: fmt.Sprintf(format, args...)})
		}
		o, faults := readAnnotations(p)
		for _, fault := range faults {
			say("%s", fault)
		}
		if o.id == "" {
			continue
		}
		if other, taken := s.obliges[o.id]; taken {
			say("rule %q stands already at %s", o.id, other.at)
			continue
		}
		if err := s.validator.Policy(string(o.id), (*ast.Policy)(p.AST())); err != nil {
			say("%v", err)
		}
		if len(s.obliges) == MaxRules {
			say("more than %d rules", MaxRules)
			return problems
		}
		o.at = Problem{File: file, Line: line}
		s.obliges[o.id] = o
		s.rules.Add(o.id, p)
	}
	return problems
}

func newValidator() (*validate.Validator, error) {
	var sch schema.Schema
	if err := sch.UnmarshalCedar(schemaText); err != nil {
		return nil, err
	}
	resolved, err := sch.Resolve()
	if err != nil {
		return nil, err
	}
	return validate.New(resolved), nil
}
