package httpsproxy

import (
	"bytes"
	"html"
	"strings"
)

// maxHidden bounds the hidden fields that are taken over from a login page.
const maxHidden = 64

// hiddenFields finds the hidden inputs of a page. It reads tags and no
// scripts; of a page that is no HTML it finds none.
func hiddenFields(page []byte) map[string]string {
	fields := map[string]string{}
	lower := lowered(page)
	for at := 0; len(fields) < maxHidden; {
		i := bytes.Index(lower[at:], []byte("<input"))
		if i < 0 {
			break
		}
		at += i + len("<input")
		a, n := attributes(page[at:])
		at += n
		if strings.EqualFold(a["type"], "hidden") && a["name"] != "" {
			fields[a["name"]] = a["value"]
		}
	}
	return fields
}

// lowered is p in lower case, byte for byte.
func lowered(p []byte) []byte {
	q := bytes.Clone(p)
	for i, c := range q {
		if c >= 'A' && c <= 'Z' {
			q[i] = c + 'a' - 'A'
		}
	}
	return q
}

// attributes reads a tag's, up to its end.
func attributes(p []byte) (found map[string]string, n int) {
	found = map[string]string{}
	const space = " \t\r\n\f/"
	for n < len(p) && p[n] != '>' {
		if strings.IndexByte(space, p[n]) >= 0 {
			n++
			continue
		}
		start := n
		for n < len(p) && strings.IndexByte(space+"=>", p[n]) < 0 {
			n++
		}
		key := strings.ToLower(string(p[start:n]))
		for n < len(p) && strings.IndexByte(space, p[n]) >= 0 {
			n++
		}
		if n >= len(p) || p[n] != '=' {
			found[key] = ""
			if n == start { // a stray sign
				n++
			}
			continue
		}
		n++
		for n < len(p) && strings.IndexByte(" \t\r\n\f", p[n]) >= 0 {
			n++
		}
		var value []byte
		if n < len(p) && (p[n] == '"' || p[n] == '\'') {
			end := bytes.IndexByte(p[n+1:], p[n])
			if end < 0 {
				return found, len(p)
			}
			value = p[n+1 : n+1+end]
			n += end + 2
		} else {
			start := n
			for n < len(p) && strings.IndexByte(" \t\r\n\f>", p[n]) < 0 {
				n++
			}
			value = p[start:n]
		}
		if _, twice := found[key]; !twice {
			found[key] = html.UnescapeString(string(value))
		}
	}
	return found, n
}
