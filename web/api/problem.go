package api

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/portcullis/portcullis/gateway"
)

// Problem is the body of every refusal (RFC 9457). Rule and Next are
// extension members: the rule that said no, and what to do next.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Rule   string `json:"rule,omitempty"`
	Next   string `json:"next,omitempty"`
}

var statuses = map[gateway.Code]struct {
	status int
	title  string
}{
	gateway.CodeInvalid:     {http.StatusBadRequest, "The input is wrong"},
	gateway.CodeSignIn:      {http.StatusUnauthorized, "Sign in first"},
	gateway.CodeRefused:     {http.StatusForbidden, "Refused"},
	gateway.CodeNotFound:    {http.StatusNotFound, "Not found"},
	gateway.CodeConflict:    {http.StatusConflict, "Somebody was faster"},
	gateway.CodeTooMany:     {http.StatusTooManyRequests, "Too many"},
	gateway.CodeUnavailable: {http.StatusServiceUnavailable, "A part does not answer"},
	gateway.CodeInternal:    {http.StatusInternalServerError, "A fault of our own"},
}

// ProblemOf words an error for the person who must act; the cause is left
// out.
func ProblemOf(err error) Problem {
	e := gateway.AsError(err)
	s, ok := statuses[e.Code]
	if !ok {
		s = statuses[gateway.CodeInternal]
	}
	return Problem{Type: "urn:portcullis:problem:" + string(e.Code), Title: s.title, Status: s.status, Detail: e.Text, Rule: e.Rule, Next: e.Next}
}

// WriteProblem answers with err as a problem document and tells the
// operator's log what is not for the vendor's eyes.
func WriteProblem(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	p := ProblemOf(err)
	LogFault(r, log, p, err)
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may have left
}

// LogFault writes faults of ours, and of the rooms below, to the operator's
// log with their whole text.
func LogFault(r *http.Request, log *slog.Logger, p Problem, err error) {
	if p.Status >= http.StatusInternalServerError {
		log.Error("request answered with a fault", "method", r.Method, "path", r.URL.Path, "status", p.Status, "error", err)
	}
}
