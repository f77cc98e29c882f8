-- Orders of suspension that were signed ahead, and the tokens that may order
-- suspensions. The rows are indexes to signed statements, and remember what
-- was used, withdrawn or removed.

-- +goose Up
CREATE TABLE orders (
    id           TEXT COLLATE "C" PRIMARY KEY,
    statement    TEXT COLLATE "C" NOT NULL UNIQUE,
    scope_kind   TEXT COLLATE "C" NOT NULL,
    scope_name   TEXT COLLATE "C" NOT NULL,
    mode         TEXT COLLATE "C" NOT NULL,
    reason       TEXT COLLATE "C" NOT NULL,
    signer       TEXT COLLATE "C" NOT NULL,
    starts       BIGINT NOT NULL,
    ends         BIGINT NOT NULL,
    made         BIGINT NOT NULL,
    used         BIGINT NOT NULL,
    suspension   TEXT COLLATE "C" NOT NULL,
    withdrawn    BIGINT NOT NULL,
    withdrawn_by TEXT COLLATE "C" NOT NULL
);

CREATE TABLE tokens (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    hash       TEXT COLLATE "C" NOT NULL UNIQUE,
    scope_kind TEXT COLLATE "C" NOT NULL,
    scope_name TEXT COLLATE "C" NOT NULL,
    issued_by  TEXT COLLATE "C" NOT NULL,
    statement  TEXT COLLATE "C" NOT NULL,
    made       BIGINT NOT NULL,
    expires    BIGINT NOT NULL,
    removed    BIGINT NOT NULL
);

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
