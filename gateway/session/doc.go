// Package session holds what is live.
//
// It opens a session under a grant, in one fixed order: the touch is consumed,
// grant and epochs are checked, the recorder is started, the event is written,
// the session is registered, and the epochs are checked once more; only then
// does a proxy get a credential and dial the target. It owns the deadline, the
// record-before-show order of every byte (P3), and the one stop path. Whatever
// ends a session (the window, a suspension, the recorder, a person of the
// staff, either side leaving) only names a cause; see DESIGN.md for the states.
//
// It does not decide who may do what (access does), carries no protocol (the
// proxies do), and writes no recording itself.
//
// Proxies call Open and then the methods of Live. The kill switch calls EndAll,
// pages call Sessions and Subscribe, cmd calls Recover, then Run.
//
// When the store, the recorder or the clock fails, the answer is no and live
// sessions end: an error from Open means that nothing was attached and nothing
// passed. A crash leaves rows that Recover ends at the next start.
package session
