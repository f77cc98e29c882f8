package postgres

import (
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/portcullis/portcullis/gateway"
)

// mistakes are the classes of SQLSTATE (its first two characters) that say
// that we asked wrongly. Everything else means that the database cannot be
// relied on: connections (08), rollbacks that were not ours (40), a lack of
// room or memory (53), administrators and timeouts (57), its disk (58).
var mistakes = []string{
	"0A",       // not supported
	"21",       // more rows than one
	"22",       // a value that fits no column
	"23",       // a constraint
	"25",       // a transaction in the wrong state, but for those below
	"26",       // a statement's name
	"34", "42", // a cursor's name; a syntax, a table, a right
	"54", // more than the program can do
}

// codes of those classes that are the server's doing.
const (
	readOnly      = "25006" // a standby, or a disk that is closed to writes
	idleTooLong   = "25P03" // we were frozen
	noRight       = "42501" // somebody took our rights away
	adminShutdown = "57P01"
	crashShutdown = "57P02"
	startingUp    = "57P03"
)

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// fault words an error of the driver. What is not plainly our own mistake
// means that the store cannot be relied on.
func fault(err error) error {
	c := code(err)
	theirs := c == "" || c == readOnly || c == idleTooLong || c == noRight
	if !theirs && slices.Contains(mistakes, c[:2]) {
		return gateway.Internal(fmt.Errorf("store: %w", err))
	}
	return gateway.Unavailable("store", err)
}

// leave reports whether the connection leads to a server that cannot be
// written to, so that the next must be made anew.
func leave(err error) bool {
	switch code(err) {
	case readOnly, idleTooLong, adminShutdown, crashShutdown, startingUp:
		return true
	}
	return errors.Is(err, errSilent) || errors.Is(err, errUndone)
}
