package access

import (
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/policy"
)

// stageReasons say to whoever asks what a restoration that is under way does
// to the sessions that he asks for.
func stageReasons(x gateway.Ladder, r gateway.Reach) []policy.Reason {
	if err := trust.Opens(x, r); err != nil {
		e := gateway.AsError(err)
		return []policy.Reason{{Rule: e.Rule, Text: e.Text, Next: e.Next}}
	}
	if x.Stage == gateway.StageSupervised {
		return []policy.Reason{{Rule: trust.StageRule, Text: "what you type passes only while somebody of the operator's staff watches", Next: "agree with the operator on a time"}}
	}
	return nil
}
