package gateway

import (
	"errors"
	"fmt"
)

// Code says what kind of no an error is. It decides the HTTP status and the
// SSH disconnect; the sentence tells the person.
type Code string

// The closed list of codes.
const (
	CodeInvalid     Code = "invalid"     // the input is wrong; mend it and try again (HTTP 400)
	CodeSignIn      Code = "sign-in"     // nobody is signed in, or the login has ended (401)
	CodeRefused     Code = "refused"     // a rule says no (403)
	CodeNotFound    Code = "not-found"   // no such thing, or not for you to know of (404)
	CodeConflict    Code = "conflict"    // somebody else was faster, or it is over already (409)
	CodeTooMany     Code = "too-many"    // a bound is reached; wait (429)
	CodeUnavailable Code = "unavailable" // a part that must agree does not answer: fail closed (503)
	CodeInternal    Code = "internal"    // our fault; the log has the whole text (500)
)

// Error is a no with its reason. Rule names the rule that said it (a policy
// id, a promise, a field name), Text is the sentence for the person who must
// act, Next says what to do next. All three may be shown to a vendor: nothing
// secret belongs in them. Cause is for the operator's log alone.
type Error struct {
	Code  Code
	Rule  string
	Text  string
	Next  string
	Cause error
}

// Error returns the sentence, the next step, and the cause where there is one.
func (e *Error) Error() string {
	s := e.Text
	if e.Next != "" {
		s += "; " + e.Next
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Sentence is what a vendor may read: the text and the next step, without the
// cause.
func (e *Error) Sentence() string {
	if e.Next == "" {
		return e.Text
	}
	return e.Text + "; " + e.Next
}

// Invalid says that the field named rule is wrong.
func Invalid(rule, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Rule: rule, Text: fmt.Sprintf(format, args...)}
}

// Refused says that a rule forbids it, and what to do next.
func Refused(rule, next, format string, args ...any) *Error {
	return &Error{Code: CodeRefused, Rule: rule, Next: next, Text: fmt.Sprintf(format, args...)}
}

// NotFound says that there is no such thing, in the same words whether it
// never was or is not for the asker to know of.
func NotFound(what, name string) *Error {
	return &Error{Code: CodeNotFound, Rule: what, Text: fmt.Sprintf("no %s %s", what, quoteShort(name))}
}

// Conflict says that the state has moved on since it was read.
func Conflict(rule, format string, args ...any) *Error {
	return &Error{Code: CodeConflict, Rule: rule, Text: fmt.Sprintf(format, args...)}
}

// Unavailable says that a part that must agree does not answer.
func Unavailable(part string, cause error) *Error {
	return &Error{Code: CodeUnavailable, Rule: part, Text: "the " + part + " does not answer, so nothing is opened", Next: "try again in a moment or call the operator's control room", Cause: cause}
}

// Internal wraps a fault of our own.
func Internal(cause error) *Error {
	return &Error{Code: CodeInternal, Rule: "internal", Text: "something failed inside the gateway, so the answer is no", Next: "the operator's log has the reason", Cause: cause}
}

// AsError returns err as an *Error; anything else is wrapped as Internal, so
// that what was not meant for a vendor's eyes is not shown to one.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Internal(err)
}

// IsCode reports whether err is an *Error of that code.
func IsCode(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// ErrStale is what a store answers to a compare-and-swap whose expected
// version is not the stored one: somebody else was faster. Read again.
var ErrStale = errors.New("the record has changed since it was read")

// ErrNotFound is what a store answers when there is no such row.
var ErrNotFound = errors.New("no such record")

// ErrUsed is what a store answers when something single-use is taken a second
// time or written a second time: a statement, an invitation, a ticket.
var ErrUsed = errors.New("already used")
