package web

import (
	"slices"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func TestWays(t *testing.T) {
	for _, c := range []struct {
		name, ssh string
		can       gateway.Abilities
		want      []string
	}{
		{"shell alone", "gw", gateway.Abilities{Shell: true}, []string{"ssh ops+pump@gw"}},
		{"another port", "gw:2022", gateway.Abilities{Shell: true, Exec: true}, []string{"ssh -p 2022 ops+pump@gw", "ssh -p 2022 ops+pump@gw COMMAND"}},
		{"download alone", "gw:22", gateway.Abilities{Download: true}, []string{"sftp ops+pump@gw", "scp ops+pump@gw:FILE ."}},
		{"upload alone", "gw:2022", gateway.Abilities{Upload: true}, []string{"sftp -P 2022 ops+pump@gw", "scp -P 2022 FILE ops+pump@gw:"}},
		{"forwards", "gw:2022", gateway.Abilities{Forward: []string{"[2001:db8::1]:443", "db:5432"}}, []string{
			"ssh -p 2022 -N -L 10443:[2001:db8::1]:443 ops+pump@gw", "ssh -p 2022 -N -L 5432:db:5432 ops+pump@gw",
		}},
		{"a web console", "gw", gateway.Abilities{Methods: []string{"GET"}, Paths: []string{"/"}, Upload: true, Download: true}, nil},
		{"nothing", "gw", gateway.Abilities{}, nil},
	} {
		var got, ids []string
		for _, w := range newSSHAddress(c.ssh).Ways(gateway.Grant{ID: "grt_1", Account: "ops", Target: "pump", Abilities: c.can}) {
			if slices.Contains(ids, w.ID) {
				t.Errorf("%s: the id %s twice", c.name, w.ID)
			}
			got, ids = append(got, w.Command), append(ids, w.ID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, wants %q", c.name, got, c.want)
		}
	}
}
