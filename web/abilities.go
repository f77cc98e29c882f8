package web

import (
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// ability is one ability as a person reads it: the word that is signed, and
// what it means.
type ability struct {
	Word string // as gateway.Abilities.List has it
	Says string
}

// boxes are the abilities that the form offers to tick; forwards are typed.
var boxes = []ability{
	{"shell", "an interactive shell"},
	{"exec", "any single command"},
	{"upload", "files to the target, and changing files there"},
	{"download", "files from the target"},
}

const forwardWord = "forward "

// saysOf words one ability of the closed list.
func saysOf(word string) ability {
	for _, b := range boxes {
		if b.Word == word {
			return b
		}
	}
	if to, ok := strings.CutPrefix(word, forwardWord); ok {
		return ability{word, "TCP from the target to " + to}
	}
	return ability{word, ""}
}

// abilitiesOf words all that a grant lets, in the order that is signed; the
// methods of a console are one.
func abilitiesOf(a gateway.Abilities) []ability {
	if len(a.Methods) == 0 {
		return eachAbility(a)
	}
	rest := a
	rest.Methods = nil
	var all []ability
	for _, w := range rest.List() {
		all = append(all, ofConsole(w))
	}
	return append([]ability{methodsOf(a)}, all...)
}

// eachAbility words each ability by itself, so that single ones can be left
// out.
func eachAbility(a gateway.Abilities) []ability {
	words := saysOf
	if len(a.Methods) > 0 {
		words = ofConsole
	}
	if len(a.Flows) > 0 {
		words = ofNetwork
	}
	list := a.List()
	all := make([]ability, len(list))
	for i, w := range list {
		all[i] = words(w)
	}
	return all
}

// readForwards reads what was typed, one host:port a line, into abilities. A
// line that is none is named with its number.
func readForwards(text string) ([]string, error) {
	var list []string
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if l == "" {
			continue
		}
		if len(list) == gateway.MaxForwards {
			return nil, gateway.Invalid("forwards", "at most %d forwards are granted together; line %d is one too many", gateway.MaxForwards, i+1)
		}
		to, err := gateway.ParseForward(l)
		if err != nil {
			why, _, _ := strings.Cut(gateway.AsError(err).Text, "; ")
			no := gateway.Invalid("forwards", "line %d of the forwards: %s", i+1, why)
			no.Next = "write a machine and its port as the target reaches it, such as historian:5432"
			return nil, no
		}
		list = append(list, forwardWord+to)
	}
	return list, nil
}

// forwardsText is the inverse of readForwards.
func forwardsText(list []string) string {
	var lines []string
	for _, w := range list {
		if to, ok := strings.CutPrefix(w, forwardWord); ok {
			lines = append(lines, to)
		}
	}
	return strings.Join(lines, "\n")
}
