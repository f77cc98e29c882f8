-- Orders of suspension that were signed ahead, and the tokens that may order
-- suspensions. The rows are indexes to signed statements, and remember what
-- was used, withdrawn or removed.

-- +goose Up
CREATE TABLE orders (
    id           TEXT PRIMARY KEY,
    statement    TEXT NOT NULL UNIQUE,
    scope_kind   TEXT NOT NULL,
    scope_name   TEXT NOT NULL,
    mode         TEXT NOT NULL,
    reason       TEXT NOT NULL,
    signer       TEXT NOT NULL,
    starts       INTEGER NOT NULL,
    ends         INTEGER NOT NULL,
    made         INTEGER NOT NULL,
    used         INTEGER NOT NULL,
    suspension   TEXT NOT NULL,
    withdrawn    INTEGER NOT NULL,
    withdrawn_by TEXT NOT NULL
);

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE,
    scope_kind TEXT NOT NULL,
    scope_name TEXT NOT NULL,
    issued_by  TEXT NOT NULL,
    statement  TEXT NOT NULL,
    made       INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    removed    INTEGER NOT NULL
);

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
