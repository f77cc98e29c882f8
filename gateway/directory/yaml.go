package directory

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
)

// MaxFile bounds a file that Apply takes, in bytes.
const MaxFile = 1 << 20

// loadTree reads one YAML document as a tree of nodes. The library's own
// decoding into structures is not used: it takes a number for a text and the
// first of two documents for the whole, and its errors name our types.
func loadTree(file []byte) (*yaml.Node, error) {
	if len(file) > MaxFile {
		return nil, gateway.Invalid("file", "the file has %d bytes; at most %d are allowed", len(file), MaxFile)
	}
	if strings.TrimSpace(string(file)) == "" {
		return nil, gateway.Invalid("file", "the file is empty; it may hold vendors, people and targets")
	}
	var doc yaml.Node
	if err := yaml.Load(file, &doc); err != nil {
		return nil, gateway.Invalid("file", "the file is not one YAML document: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	root := &doc
	for root.Kind == yaml.DocumentNode {
		if len(root.Content) != 1 {
			return nil, gateway.Invalid("file", "the file is empty; it may hold vendors, people and targets")
		}
		root = root.Content[0]
	}
	return root, nil
}

// at is an error that names the line.
func at(n *yaml.Node, format string, args ...any) *gateway.Error {
	e := gateway.Invalid("file", format, args...)
	return lined(n.Line, e)
}

// lined puts the line in front of a refusal, keeping its rule and code.
func lined(line int, err error) *gateway.Error {
	e := *gateway.AsError(err)
	e.Text = "line " + itoa(line) + ": " + e.Text
	return &e
}

// field reads one value of a mapping.
type field func(*yaml.Node) error

// mapping reads a mapping strictly: a key that is not in fields, or that
// stands twice, is an error with its line.
func mapping(n *yaml.Node, what string, fields map[string]field) error {
	if err := plain(n); err != nil {
		return err
	}
	if n.Kind != yaml.MappingNode {
		return at(n, "%s is a list of names with values, not %s", what, shape(n))
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if err := plain(key); err != nil {
			return err
		}
		if key.Kind != yaml.ScalarNode {
			return at(key, "a key of %s is a word, not %s", what, shape(key))
		}
		read, ok := fields[key.Value]
		if !ok {
			return at(key, "%s has no field %s", what, gateway.Quote(key.Value))
		}
		if first, twice := seen[key.Value]; twice {
			return at(key, "field %s of %s stands twice, first on line %d", gateway.Quote(key.Value), what, first)
		}
		seen[key.Value] = key.Line
		if err := read(value); err != nil {
			return err
		}
	}
	return nil
}

// sequence reads a list.
func sequence(n *yaml.Node, what string, each field) error {
	if err := plain(n); err != nil {
		return err
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return at(n, "%s is a list, not %s", what, shape(n))
	}
	for _, e := range n.Content {
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

// text reads a text; a number or a truth value in its place is an error.
func text(n *yaml.Node, what string, to *string) error {
	if err := plain(n); err != nil {
		return err
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return at(n, "%s is a text, not %s; put it in quotes if it is meant so", what, shape(n))
	}
	*to = n.Value
	return nil
}

// truth reads true or false.
func truth(n *yaml.Node, what string, to *bool) error {
	if err := plain(n); err != nil {
		return err
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Value != "true" && n.Value != "false" {
		return at(n, "%s is true or false, not %s", what, shape(n))
	}
	*to = n.Value == "true"
	return nil
}

// plain refuses what would make a file read otherwise than it looks.
func plain(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return at(n, "anchors and aliases (& and *) are not read here; write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		return at(n, "tags such as %s are not read here", gateway.Quote(n.Tag))
	}
	return nil
}

// shape says what a node is, for a refusal.
func shape(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "names with values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "nothing"
	}
	return gateway.Quote(n.Value)
}
