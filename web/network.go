package web

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

const (
	flowWord      = "flow "
	bandwidthWord = "bandwidth "
)

// networkAsk is the part of the request form that is for networks, as it was
// filled in.
type networkAsk struct {
	Flows     string // one a line, as typed
	In, Out   string // MB to the network and from it in all; "" no bound
	Bandwidth string // MB per second, each way; "" no bound
}

func readNetworkAsk(q url.Values) networkAsk {
	return networkAsk{Flows: strings.ReplaceAll(q.Get("flows"), "\r\n", "\n"), In: q.Get("volume_in"), Out: q.Get("volume_out"), Bandwidth: q.Get("bandwidth")}
}

// add takes one flow more, as the page of a tunnel names what it refused.
func (n *networkAsk) add(ability string) bool {
	flow, ok := strings.CutPrefix(ability, "flow ")
	if ok {
		n.Flows = strings.TrimSpace(n.Flows + "\n" + flow)
	}
	return ok
}

// like fills the form in as an earlier request was.
func (n *networkAsk) like(a gateway.Abilities) {
	*n = networkAsk{Flows: strings.Join(a.Flows, "\n"), In: megabytes(a.VolumeIn), Out: megabytes(a.VolumeOut), Bandwidth: megabytes(a.Bandwidth)}
}

// abilities are what the form asks for, as they are signed. A line that is no
// flow is named with its number.
func (n networkAsk) abilities() ([]string, error) {
	var list []string
	for i, l := range strings.Split(n.Flows, "\n") {
		if l = strings.TrimPrefix(strings.TrimSpace(l), flowWord); l == "" {
			continue
		}
		r, err := gateway.ParseFlowRule(l)
		if err != nil {
			why, _, _ := strings.Cut(gateway.AsError(err).Text, "; ")
			no := gateway.Invalid("flows", "line %d of the flows: %s", i+1, why)
			no.Next = "write a name or address with port and protocol, such as historian:1433/tcp, 10.20.0.0/24:502/tcp or historian/icmp"
			return nil, no
		}
		list = append(list, flowWord+r.String())
	}
	if len(list) > gateway.MaxFlows {
		return nil, gateway.Invalid("flows", "at most %d flows are granted together; name ranges of ports or prefixes instead", gateway.MaxFlows)
	}
	for _, x := range []struct{ typed, word, what string }{{n.In, volumeInWord, "volume_in"}, {n.Out, volumeOutWord, "volume_out"}, {n.Bandwidth, bandwidthWord, "bandwidth"}} {
		if x.typed == "" {
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

// ofNetwork words one ability of a grant for a network.
func ofNetwork(word string) ability {
	if n, ok := strings.CutPrefix(word, bandwidthWord); ok {
		bytes, _ := strconv.ParseInt(n, 10, 64) // List has written it
		return ability{word, "at most " + size(bytes) + " a second, each way"}
	}
	text, ok := strings.CutPrefix(word, flowWord)
	if !ok {
		return ofConsole(word) // the volumes
	}
	r, err := gateway.ParseFlowRule(text)
	if err != nil {
		return ability{word, ""}
	}
	to := r.Name
	switch {
	case to == "" && r.Prefix.IsSingleIP():
		to = r.Prefix.Addr().String()
	case to == "":
		to = "every address of " + r.Prefix.String()
	}
	ports := "port " + strconv.Itoa(int(r.From))
	if r.From != r.To {
		ports = "ports " + strconv.Itoa(int(r.From)) + " to " + strconv.Itoa(int(r.To))
	}
	if r.Protocol == gateway.FlowICMP {
		return ability{word, "ping of " + to}
	}
	return ability{word, strings.ToUpper(string(r.Protocol)) + " to " + to + ", " + ports}
}

// networkName is a name of a network as the definition's form has it.
func networkName(n gateway.NetworkName) string {
	words := []string{n.Name}
	for _, a := range n.Addresses {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}
