package audit_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// A session of a network is Tunnel Activity (OCSF 4014); of the others it is
// not.
func TestTunnelsHaveTheirOwnClass(t *testing.T) {
	for _, c := range []struct {
		name     audit.Name
		protocol gateway.TargetKind
		kind     int
		uid      int
	}{
		{audit.SessionOpened, gateway.KindNetwork, 4014, 401401}, {audit.SessionEnded, gateway.KindNetwork, 4014, 401402}, {audit.SessionRefused, gateway.KindNetwork, 4014, 401499},
		{audit.SessionRoamed, gateway.KindNetwork, 4014, 401499}, {audit.SessionAlarm, gateway.KindNetwork, 4014, 401499}, {audit.SessionRefused, gateway.KindSSH, 4007, 400705},
		{audit.SessionOpened, "", 4007, 400701}, {audit.GrantOpened, gateway.KindNetwork, 3003, 300301},
	} {
		body, err := audit.Encode(audit.Event{Name: c.name, At: time.Now(), Actor: "ana", Session: "ses_1", Protocol: c.protocol}, 1)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Class int `json:"class_uid"`
			Type  int `json:"type_uid"`
			User  struct {
				Name string `json:"name"`
			} `json:"user"`
		}
		if err := json.Unmarshal(body, &got); err != nil || got.Class != c.kind || got.Type != c.uid || got.User.Name != "ana" {
			t.Errorf("%s of %s: %+v, %v", c.name, c.protocol, got, err)
		}
		if e, err := audit.ParseEntry(body); err != nil || e.Protocol != c.protocol {
			t.Errorf("%s comes back with protocol %q, %v", c.name, e.Protocol, err)
		}
	}
}
