-- Times are whole microseconds since 1970, 0 where there is none. Digests are
-- lower-case hexadecimal text. Columns named like a list hold JSON.
-- Text is compared byte by byte (COLLATE "C"), whatever the language of the
-- database: a page of a list must not end elsewhere on another server.
-- The rows index the signed statements; whoever opens a session verifies
-- those. Foreign keys are therefore few: a row that lies is found by the chain.

-- +goose Up
CREATE TABLE statements (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order they were written in
    digest  TEXT COLLATE "C" NOT NULL UNIQUE,              -- SHA-256 of bytes: each is used once
    kind    TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    bytes   BYTEA NOT NULL,
    proofs  TEXT COLLATE "C" NOT NULL
);
CREATE INDEX statements_subject ON statements (subject, kind);

CREATE TABLE touches_used (
    digest TEXT COLLATE "C" PRIMARY KEY REFERENCES statements (digest)
);

CREATE TABLE vendors (
    name      TEXT COLLATE "C" PRIMARY KEY,
    title     TEXT COLLATE "C" NOT NULL,
    networks  TEXT COLLATE "C" NOT NULL,
    contact   TEXT COLLATE "C" NOT NULL,
    contract  TEXT COLLATE "C" NOT NULL,
    state     TEXT COLLATE "C" NOT NULL,
    epoch     BIGINT NOT NULL,
    version   BIGINT NOT NULL,
    statement TEXT COLLATE "C" NOT NULL,
    changed   BIGINT NOT NULL,
    standing_since BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE people (
    name      TEXT COLLATE "C" PRIMARY KEY,
    title     TEXT COLLATE "C" NOT NULL,
    email     TEXT COLLATE "C" NOT NULL,
    vendor    TEXT COLLATE "C" NOT NULL, -- empty: the staff
    roles     TEXT COLLATE "C" NOT NULL,
    state     TEXT COLLATE "C" NOT NULL,
    epoch     BIGINT NOT NULL,
    version   BIGINT NOT NULL,
    statement TEXT COLLATE "C" NOT NULL,
    changed   BIGINT NOT NULL,
    standing_since BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX people_vendor ON people (vendor);
CREATE INDEX people_email ON people (email);

CREATE TABLE targets (
    name      TEXT COLLATE "C" PRIMARY KEY,
    title     TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    address   TEXT COLLATE "C" NOT NULL,
    zone      TEXT COLLATE "C" NOT NULL,
    impact    TEXT COLLATE "C" NOT NULL,
    owner     TEXT COLLATE "C" NOT NULL,
    vendors   TEXT COLLATE "C" NOT NULL,
    host_keys TEXT COLLATE "C" NOT NULL,
    accounts  TEXT COLLATE "C" NOT NULL,
    version   BIGINT NOT NULL,
    removed   BOOLEAN NOT NULL,
    statement TEXT COLLATE "C" NOT NULL,
    changed   BIGINT NOT NULL
);

CREATE TABLE authenticators (
    id              TEXT COLLATE "C" PRIMARY KEY, -- credential id
    person          TEXT COLLATE "C" NOT NULL,
    label           TEXT COLLATE "C" NOT NULL,
    public_key      BYTEA NOT NULL,
    aaguid          TEXT COLLATE "C" NOT NULL,
    format          TEXT COLLATE "C" NOT NULL,
    attestation     TEXT COLLATE "C" NOT NULL,
    backup_eligible BOOLEAN NOT NULL,
    counter         BIGINT NOT NULL,
    vendor_epoch    BIGINT NOT NULL,
    person_epoch    BIGINT NOT NULL,
    statement       TEXT COLLATE "C" NOT NULL,
    enrolled        BIGINT NOT NULL,
    removed         BIGINT NOT NULL
);
CREATE INDEX authenticators_person ON authenticators (person);

CREATE TABLE ssh_keys (
    fingerprint  TEXT COLLATE "C" PRIMARY KEY,
    person       TEXT COLLATE "C" NOT NULL,
    label        TEXT COLLATE "C" NOT NULL,
    line         TEXT COLLATE "C" NOT NULL,
    vendor_epoch BIGINT NOT NULL,
    person_epoch BIGINT NOT NULL,
    statement    TEXT COLLATE "C" NOT NULL,
    added        BIGINT NOT NULL,
    removed      BIGINT NOT NULL
);
CREATE INDEX ssh_keys_person ON ssh_keys (person);

CREATE TABLE invitations (
    id           TEXT COLLATE "C" PRIMARY KEY,
    person       TEXT COLLATE "C" NOT NULL,
    public_key   BYTEA NOT NULL UNIQUE,
    vendor_epoch BIGINT NOT NULL,
    person_epoch BIGINT NOT NULL,
    statement    TEXT COLLATE "C" NOT NULL,
    expires      BIGINT NOT NULL,
    used         BIGINT NOT NULL
);
CREATE INDEX invitations_person ON invitations (person);

CREATE TABLE logins (
    hash         TEXT COLLATE "C" PRIMARY KEY, -- SHA-256 of the cookie's token
    id           TEXT COLLATE "C" NOT NULL UNIQUE,
    person       TEXT COLLATE "C" NOT NULL,
    method       TEXT COLLATE "C" NOT NULL,
    binding      TEXT COLLATE "C" NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    vendor_epoch BIGINT NOT NULL,
    person_epoch BIGINT NOT NULL,
    made         BIGINT NOT NULL,
    seen         BIGINT NOT NULL
);
CREATE INDEX logins_person ON logins (person);

CREATE TABLE subjects (
    provider TEXT COLLATE "C" NOT NULL,
    subject  TEXT COLLATE "C" NOT NULL,
    person   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (provider, subject),
    UNIQUE (provider, person)
);

CREATE TABLE requests (
    id               TEXT COLLATE "C" PRIMARY KEY,
    person           TEXT COLLATE "C" NOT NULL,
    vendor           TEXT COLLATE "C" NOT NULL,
    target           TEXT COLLATE "C" NOT NULL,
    target_statement TEXT COLLATE "C" NOT NULL,
    account          TEXT COLLATE "C" NOT NULL,
    starts           BIGINT NOT NULL,
    ends             BIGINT NOT NULL,
    length           BIGINT NOT NULL, -- nanoseconds, where starts is 0
    abilities        TEXT COLLATE "C" NOT NULL,
    reason           TEXT COLLATE "C" NOT NULL,
    ticket           TEXT COLLATE "C" NOT NULL,
    vendor_epoch     BIGINT NOT NULL,
    person_epoch     BIGINT NOT NULL,
    asked            BIGINT NOT NULL,
    lapse            BIGINT NOT NULL,
    digest           TEXT COLLATE "C" NOT NULL,
    document         BYTEA NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    needs            BIGINT NOT NULL,
    roles            TEXT COLLATE "C" NOT NULL,
    closed           BIGINT NOT NULL,
    closed_by        TEXT COLLATE "C" NOT NULL,
    word             TEXT COLLATE "C" NOT NULL,
    version          BIGINT NOT NULL
);
CREATE INDEX requests_person ON requests (person);
CREATE INDEX requests_vendor ON requests (vendor);
CREATE INDEX requests_lapse ON requests (state, lapse);

CREATE TABLE approvals (
    seq       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request   TEXT COLLATE "C" NOT NULL,
    person    TEXT COLLATE "C" NOT NULL,
    starts    BIGINT NOT NULL,
    ends      BIGINT NOT NULL,
    length    BIGINT NOT NULL,
    abilities TEXT COLLATE "C" NOT NULL,
    statement TEXT COLLATE "C" NOT NULL,
    made      BIGINT NOT NULL,
    UNIQUE (request, person)
);

CREATE TABLE grants (
    id           TEXT COLLATE "C" PRIMARY KEY,
    request      TEXT COLLATE "C" NOT NULL UNIQUE,
    person       TEXT COLLATE "C" NOT NULL,
    vendor       TEXT COLLATE "C" NOT NULL,
    target       TEXT COLLATE "C" NOT NULL,
    account      TEXT COLLATE "C" NOT NULL,
    abilities    TEXT COLLATE "C" NOT NULL,
    starts       BIGINT NOT NULL,
    ends         BIGINT NOT NULL,
    vendor_epoch BIGINT NOT NULL,
    person_epoch BIGINT NOT NULL,
    state        TEXT COLLATE "C" NOT NULL,
    closed       BIGINT NOT NULL,
    closed_by    TEXT COLLATE "C" NOT NULL,
    why          TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL
);
CREATE INDEX grants_person ON grants (person, target);
CREATE INDEX grants_vendor ON grants (vendor);
CREATE INDEX grants_starts ON grants (state, starts);
CREATE INDEX grants_ends ON grants (state, ends);

CREATE TABLE tickets (
    seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    touch    TEXT COLLATE "C" NOT NULL UNIQUE,
    person   TEXT COLLATE "C" NOT NULL,
    grant_id TEXT COLLATE "C" NOT NULL,
    expires  BIGINT NOT NULL
);
CREATE INDEX tickets_person ON tickets (person, grant_id);

CREATE TABLE sessions (
    id           TEXT COLLATE "C" PRIMARY KEY,
    grant_id     TEXT COLLATE "C" NOT NULL,
    request      TEXT COLLATE "C" NOT NULL,
    person       TEXT COLLATE "C" NOT NULL,
    vendor       TEXT COLLATE "C" NOT NULL,
    target       TEXT COLLATE "C" NOT NULL,
    account      TEXT COLLATE "C" NOT NULL,
    protocol     TEXT COLLATE "C" NOT NULL,
    node         TEXT COLLATE "C" NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    client       TEXT COLLATE "C" NOT NULL,
    touch        TEXT COLLATE "C" NOT NULL,
    vendor_epoch BIGINT NOT NULL,
    person_epoch BIGINT NOT NULL,
    state        TEXT COLLATE "C" NOT NULL,
    started      BIGINT NOT NULL,
    until        BIGINT NOT NULL,
    ended        BIGINT NOT NULL,
    reason       TEXT COLLATE "C" NOT NULL,
    detail       TEXT COLLATE "C" NOT NULL,
    ended_by     TEXT COLLATE "C" NOT NULL,
    bytes_in     BIGINT NOT NULL,
    bytes_out    BIGINT NOT NULL,
    seal         TEXT COLLATE "C" NOT NULL
);
CREATE INDEX sessions_state ON sessions (state);
CREATE INDEX sessions_person ON sessions (person);
CREATE INDEX sessions_vendor ON sessions (vendor);
CREATE INDEX sessions_grant ON sessions (grant_id);

CREATE TABLE suspensions (
    id         TEXT COLLATE "C" PRIMARY KEY,
    scope_kind TEXT COLLATE "C" NOT NULL,
    scope_name TEXT COLLATE "C" NOT NULL,
    epoch      BIGINT NOT NULL,
    reason     TEXT COLLATE "C" NOT NULL,
    ordered_by TEXT COLLATE "C" NOT NULL,
    statement  TEXT COLLATE "C" NOT NULL,
    ordered    BIGINT NOT NULL,
    lifted     BIGINT NOT NULL,
    report     TEXT COLLATE "C" NOT NULL
);

CREATE TABLE restorations (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    suspension TEXT COLLATE "C" NOT NULL,
    epoch      BIGINT NOT NULL,
    signer     TEXT COLLATE "C" NOT NULL,
    statement  TEXT COLLATE "C" NOT NULL,
    UNIQUE (suspension, epoch, signer)
);

CREATE TABLE log_entries (
    seq     BIGINT PRIMARY KEY, -- 0, 1, 2, …
    body    TEXT COLLATE "C" NOT NULL,       -- OCSF JSON: exactly these bytes are hashed
    leaf    BYTEA NOT NULL,
    at      BIGINT NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    actor   TEXT COLLATE "C" NOT NULL,
    vendor  TEXT COLLATE "C" NOT NULL,
    person  TEXT COLLATE "C" NOT NULL,
    target  TEXT COLLATE "C" NOT NULL,
    session TEXT COLLATE "C" NOT NULL
);
-- What a stranger said may be longer than a B-tree takes: hash.
CREATE INDEX log_entries_name ON log_entries (name, seq);
CREATE INDEX log_entries_vendor ON log_entries USING hash (vendor);
CREATE INDEX log_entries_person ON log_entries USING hash (person);
CREATE INDEX log_entries_actor ON log_entries USING hash (actor);
CREATE INDEX log_entries_session ON log_entries USING hash (session);

CREATE TABLE log_hashes (
    idx  BIGINT PRIMARY KEY, -- golang.org/x/mod/sumdb/tlog StoredHashIndex
    hash BYTEA NOT NULL
);

CREATE TABLE log_checkpoints (
    n    BIGINT PRIMARY KEY, -- 0, 1, 2, …: a dropped one is missed
    size BIGINT NOT NULL,
    note BYTEA NOT NULL
);

CREATE TABLE health (
    id   BIGINT PRIMARY KEY,
    beat BIGINT NOT NULL
);

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
