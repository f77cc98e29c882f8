package postgres

import "database/sql"

// What the tests look at from outside.
var (
	Fault      = fault
	CommitText = commitText
)

const (
	IdleLimit    = idleLimit
	SilenceLimit = silenceLimit
)

// Writer is a pool of one writing connection.
func Writer(text string) (*sql.DB, error) {
	a, err := parse(text, "")
	if err != nil {
		return nil, err
	}
	return a.open(writing, 1), nil
}

// Way is what Open says of the way to a server.
func Way(text string) ([]string, error) {
	a, err := parse(text, "")
	if err != nil {
		return nil, err
	}
	return a.way(), nil
}
