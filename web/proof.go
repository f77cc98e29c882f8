package web

import (
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/evidence"
)

// paths word the ways back in for whoever reads a report.
var paths = map[gateway.Path]string{
	gateway.PathSSHKey: "New SSH connection with an enrolled key", gateway.PathSSHCertificate: "SSH certificate of a login",
	gateway.PathSSHTouch: "Touch by an SSH security key", gateway.PathChannel: "Second channel on a live connection",
	gateway.PathWaiting: "Connection that waits for a touch", gateway.PathGrant: "Opening under a grant of before",
	gateway.PathTicket: "Ticket of a touch given ahead", gateway.PathBrowserShell: "Shell in the browser",
	gateway.PathGrantRow: "Grant put back in the database", gateway.PathClock: "Clock set back into the window",
	gateway.PathRequest: "Agreeing to a request of before", gateway.PathRequestRow: "Request put back in the database",
	gateway.PathLogin: "Login cookie of before", gateway.PathInvitation: "Invitation link of before",
	gateway.PathStalePage: "Invitation from an administrator’s old page", gateway.PathColleague: "Colleague invites a colleague",
	gateway.PathRows: "Anything left in the database", gateway.PathRestoration: "Old restoration handed in again",
	gateway.PathBackup: "Store put back from a backup", gateway.PathOtherVendor: "Same person under another vendor",
	gateway.PathHTTPS: "HTTPS targets", gateway.PathWireGuard: "WireGuard tunnels", gateway.PathToken: "API tokens", gateway.PathPartition: "Node that is cut off",
}

func pathText(p gateway.Path) string {
	if text, ok := paths[p]; ok {
		return text
	}
	return string(p)
}

// probed is the tag of what came of a path: a refusal is what was hoped for.
func probed(p gateway.Probed) string {
	switch p.Result {
	case gateway.ProbeRefused:
		return "shut"
	case gateway.ProbeOpen:
		return "still open"
	case gateway.ProbeFinding:
		return "look at it"
	case gateway.ProbeSilent:
		return "no answer yet"
	}
	return string(p.Result)
}

// prove gathers the proof that the page shows below the report. Where it
// cannot be gathered the report stands without it.
func (s *Server) prove(v *visit, id string) *evidence.Suspension {
	if s.rooms.Proofs == nil {
		return nil
	}
	p, err := s.rooms.Proofs.Proof(v.Context(), id)
	if err != nil {
		s.rooms.Logger.Error("proof not gathered", "suspension", id, "error", err)
		return nil
	}
	return &p
}
