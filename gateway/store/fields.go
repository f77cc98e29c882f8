package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// table ties the columns of a table to the fields of a T in one place, so that
// what is written and what is read back cannot drift apart. The first column
// is the key.
type table[T any] struct {
	name    string
	columns []string
	fields  func(*T) []any // one pointer for each column: an argument and a place to scan into

	selected string // SELECT, without a WHERE
	created  string // INSERT that does nothing where a unique column is taken
	upserted string // INSERT that replaces the row of the same key
}

func newTable[T any](name, columns string, fields func(*T) []any) table[T] {
	t := table[T]{name: name, columns: strings.Fields(columns), fields: fields}
	list := strings.Join(t.columns, ", ")
	insert := "INSERT INTO " + name + " (" + list + ") VALUES (" + placeholders(len(t.columns)) + ") ON CONFLICT "
	var set []string
	for _, c := range t.columns[1:] {
		set = append(set, c+" = excluded."+c)
	}
	t.selected = "SELECT " + list + " FROM " + name
	t.created = insert + "DO NOTHING"
	t.upserted = insert + "(" + t.columns[0] + ") DO UPDATE SET " + strings.Join(set, ", ")
	return t
}

// replaced returns the UPDATE, with its arguments, that puts v, but for the
// columns excepted, in the place of the row of the same key whose version is
// one less.
func (t table[T]) replaced(v *T, version uint64, except ...string) (string, []any) {
	w := where{text: "UPDATE " + t.name + " SET "}
	glue := ""
	values := t.fields(v)
	for i, c := range t.columns {
		if i > 0 && !slices.Contains(except, c) {
			w.add(glue+c+" = $?", values[i])
			glue = ", "
		}
	}
	w.add(" WHERE "+t.columns[0]+" = $?", values[0])
	w.add(" AND version = $?", int64(version)-1)
	return w.text, w.args
}

func placeholders(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(list, ", ")
}

// where puts a statement together from constant pieces; each $? becomes the
// next numbered placeholder.
type where struct {
	text string
	args []any
}

func (w *where) add(piece string, args ...any) {
	for _, a := range args {
		w.args = append(w.args, a)
		piece = strings.Replace(piece, "$?", "$"+strconv.Itoa(len(w.args)), 1)
	}
	w.text += piece
}

// and adds a condition; the first one opens the WHERE.
func (w *where) and(piece string, args ...any) {
	if w.text == "" {
		w.add("WHERE "+piece, args...)
		return
	}
	w.add(" AND "+piece, args...)
}

// equal adds column = value where the value is not empty.
func (w *where) equal(column, value string) {
	if value != "" {
		w.and(column+" = $?", value)
	}
}

// instant keeps a time as whole microseconds; the zero time is 0.
type instant struct{ t *time.Time }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Value implements driver.Valuer.
func (i instant) Value() (driver.Value, error) { return micros(*i.t), nil }

// Scan implements sql.Scanner.
func (i instant) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*i.t = time.Time{}
	if n != 0 {
		*i.t = time.UnixMicro(n).UTC()
	}
	return nil
}

// digest keeps a digest as hexadecimal text.
type digest struct{ d *gateway.Digest }

// Value implements driver.Valuer.
func (d digest) Value() (driver.Value, error) { return d.d.String(), nil }

// Scan implements sql.Scanner.
func (d digest) Scan(v any) error {
	s, err := text(v)
	if err != nil {
		return err
	}
	*d.d, err = gateway.ParseDigest(s)
	return err
}

// jsonText keeps anything with a JSON form as text.
type jsonText struct{ v any }

// Value implements driver.Valuer.
func (j jsonText) Value() (driver.Value, error) {
	raw, err := json.Marshal(j.v)
	return string(raw), err
}

// Scan implements sql.Scanner.
func (j jsonText) Scan(v any) error {
	s, err := text(v)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(s), j.v)
}

// whole keeps a uint64 as a signed 64-bit integer, which is what both
// databases have.
type whole struct{ n *uint64 }

// Value implements driver.Valuer.
func (w whole) Value() (driver.Value, error) {
	if *w.n > math.MaxInt64 {
		return nil, fmt.Errorf("%d does not fit a column", *w.n)
	}
	return int64(*w.n), nil
}

// Scan implements sql.Scanner.
func (w whole) Scan(v any) error {
	n, ok := v.(int64)
	if !ok || n < 0 {
		return fmt.Errorf("a count is stored as %T below zero or no number", v)
	}
	*w.n = uint64(n)
	return nil
}

// blob keeps bytes; none are stored as empty, not as NULL.
type blob struct{ b *[]byte }

// Value implements driver.Valuer.
func (b blob) Value() (driver.Value, error) {
	if *b.b == nil {
		return []byte{}, nil
	}
	return *b.b, nil
}

// Scan implements sql.Scanner.
func (b blob) Scan(v any) error {
	s, err := text(v)
	*b.b = nil
	if s != "" {
		*b.b = []byte(s)
	}
	return err
}

func text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	}
	return "", fmt.Errorf("a text is stored as %T", v)
}
