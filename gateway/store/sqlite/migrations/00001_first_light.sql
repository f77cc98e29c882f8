-- Times are whole microseconds since 1970, 0 where there is none. Digests are
-- lower-case hexadecimal text. Columns named like a list hold JSON.
-- The rows index the signed statements; whoever opens a session verifies
-- those. Foreign keys are therefore few: a row that lies is found by the chain.

-- +goose Up
CREATE TABLE statements (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT, -- the order they were written in
    digest  TEXT NOT NULL UNIQUE,              -- SHA-256 of bytes: each is used once
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    bytes   BLOB NOT NULL,
    proofs  TEXT NOT NULL
);
CREATE INDEX statements_subject ON statements (subject, kind);

CREATE TABLE touches_used (
    digest TEXT PRIMARY KEY REFERENCES statements (digest)
);

CREATE TABLE vendors (
    name      TEXT PRIMARY KEY,
    title     TEXT NOT NULL,
    networks  TEXT NOT NULL,
    contact   TEXT NOT NULL,
    contract  TEXT NOT NULL,
    state     TEXT NOT NULL,
    epoch     INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    statement TEXT NOT NULL,
    changed   INTEGER NOT NULL,
    standing_since INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE people (
    name      TEXT PRIMARY KEY,
    title     TEXT NOT NULL,
    email     TEXT NOT NULL,
    vendor    TEXT NOT NULL, -- empty: the staff
    roles     TEXT NOT NULL,
    state     TEXT NOT NULL,
    epoch     INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    statement TEXT NOT NULL,
    changed   INTEGER NOT NULL,
    standing_since INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX people_vendor ON people (vendor);
CREATE INDEX people_email ON people (email);

CREATE TABLE targets (
    name      TEXT PRIMARY KEY,
    title     TEXT NOT NULL,
    kind      TEXT NOT NULL,
    address   TEXT NOT NULL,
    zone      TEXT NOT NULL,
    impact    TEXT NOT NULL,
    owner     TEXT NOT NULL,
    vendors   TEXT NOT NULL,
    host_keys TEXT NOT NULL,
    accounts  TEXT NOT NULL,
    version   INTEGER NOT NULL,
    removed   BOOLEAN NOT NULL,
    statement TEXT NOT NULL,
    changed   INTEGER NOT NULL
);

CREATE TABLE authenticators (
    id              TEXT PRIMARY KEY, -- credential id
    person          TEXT NOT NULL,
    label           TEXT NOT NULL,
    public_key      BLOB NOT NULL,
    aaguid          TEXT NOT NULL,
    format          TEXT NOT NULL,
    attestation     TEXT NOT NULL,
    backup_eligible BOOLEAN NOT NULL,
    counter         INTEGER NOT NULL,
    vendor_epoch    INTEGER NOT NULL,
    person_epoch    INTEGER NOT NULL,
    statement       TEXT NOT NULL,
    enrolled        INTEGER NOT NULL,
    removed         INTEGER NOT NULL
);
CREATE INDEX authenticators_person ON authenticators (person);

CREATE TABLE ssh_keys (
    fingerprint  TEXT PRIMARY KEY,
    person       TEXT NOT NULL,
    label        TEXT NOT NULL,
    line         TEXT NOT NULL,
    vendor_epoch INTEGER NOT NULL,
    person_epoch INTEGER NOT NULL,
    statement    TEXT NOT NULL,
    added        INTEGER NOT NULL,
    removed      INTEGER NOT NULL
);
CREATE INDEX ssh_keys_person ON ssh_keys (person);

CREATE TABLE invitations (
    id           TEXT PRIMARY KEY,
    person       TEXT NOT NULL,
    public_key   BLOB NOT NULL UNIQUE,
    vendor_epoch INTEGER NOT NULL,
    person_epoch INTEGER NOT NULL,
    statement    TEXT NOT NULL,
    expires      INTEGER NOT NULL,
    used         INTEGER NOT NULL
);
CREATE INDEX invitations_person ON invitations (person);

CREATE TABLE logins (
    hash         TEXT PRIMARY KEY, -- SHA-256 of the cookie's token
    id           TEXT NOT NULL UNIQUE,
    person       TEXT NOT NULL,
    method       TEXT NOT NULL,
    binding      TEXT NOT NULL,
    source       TEXT NOT NULL,
    vendor_epoch INTEGER NOT NULL,
    person_epoch INTEGER NOT NULL,
    made         INTEGER NOT NULL,
    seen         INTEGER NOT NULL
);
CREATE INDEX logins_person ON logins (person);

CREATE TABLE subjects (
    provider TEXT NOT NULL,
    subject  TEXT NOT NULL,
    person   TEXT NOT NULL,
    PRIMARY KEY (provider, subject),
    UNIQUE (provider, person)
);

CREATE TABLE requests (
    id               TEXT PRIMARY KEY,
    person           TEXT NOT NULL,
    vendor           TEXT NOT NULL,
    target           TEXT NOT NULL,
    target_statement TEXT NOT NULL,
    account          TEXT NOT NULL,
    starts           INTEGER NOT NULL,
    ends             INTEGER NOT NULL,
    length           INTEGER NOT NULL, -- nanoseconds, where starts is 0
    abilities        TEXT NOT NULL,
    reason           TEXT NOT NULL,
    ticket           TEXT NOT NULL,
    vendor_epoch     INTEGER NOT NULL,
    person_epoch     INTEGER NOT NULL,
    asked            INTEGER NOT NULL,
    lapse            INTEGER NOT NULL,
    digest           TEXT NOT NULL,
    document         BLOB NOT NULL,
    state            TEXT NOT NULL,
    needs            INTEGER NOT NULL,
    roles            TEXT NOT NULL,
    closed           INTEGER NOT NULL,
    closed_by        TEXT NOT NULL,
    word             TEXT NOT NULL,
    version          INTEGER NOT NULL
);
CREATE INDEX requests_person ON requests (person);
CREATE INDEX requests_vendor ON requests (vendor);
CREATE INDEX requests_lapse ON requests (state, lapse);

CREATE TABLE approvals (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    request   TEXT NOT NULL,
    person    TEXT NOT NULL,
    starts    INTEGER NOT NULL,
    ends      INTEGER NOT NULL,
    length    INTEGER NOT NULL,
    abilities TEXT NOT NULL,
    statement TEXT NOT NULL,
    made      INTEGER NOT NULL,
    UNIQUE (request, person)
);

CREATE TABLE grants (
    id           TEXT PRIMARY KEY,
    request      TEXT NOT NULL UNIQUE,
    person       TEXT NOT NULL,
    vendor       TEXT NOT NULL,
    target       TEXT NOT NULL,
    account      TEXT NOT NULL,
    abilities    TEXT NOT NULL,
    starts       INTEGER NOT NULL,
    ends         INTEGER NOT NULL,
    vendor_epoch INTEGER NOT NULL,
    person_epoch INTEGER NOT NULL,
    state        TEXT NOT NULL,
    closed       INTEGER NOT NULL,
    closed_by    TEXT NOT NULL,
    why          TEXT NOT NULL,
    version      INTEGER NOT NULL
);
CREATE INDEX grants_person ON grants (person, target);
CREATE INDEX grants_vendor ON grants (vendor);
CREATE INDEX grants_starts ON grants (state, starts);
CREATE INDEX grants_ends ON grants (state, ends);

CREATE TABLE tickets (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    touch    TEXT NOT NULL UNIQUE,
    person   TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    expires  INTEGER NOT NULL
);
CREATE INDEX tickets_person ON tickets (person, grant_id);

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    grant_id     TEXT NOT NULL,
    request      TEXT NOT NULL,
    person       TEXT NOT NULL,
    vendor       TEXT NOT NULL,
    target       TEXT NOT NULL,
    account      TEXT NOT NULL,
    protocol     TEXT NOT NULL,
    node         TEXT NOT NULL,
    source       TEXT NOT NULL,
    client       TEXT NOT NULL,
    touch        TEXT NOT NULL,
    vendor_epoch INTEGER NOT NULL,
    person_epoch INTEGER NOT NULL,
    state        TEXT NOT NULL,
    started      INTEGER NOT NULL,
    until        INTEGER NOT NULL,
    ended        INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    detail       TEXT NOT NULL,
    ended_by     TEXT NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    seal         TEXT NOT NULL
);
CREATE INDEX sessions_state ON sessions (state);
CREATE INDEX sessions_person ON sessions (person);
CREATE INDEX sessions_vendor ON sessions (vendor);
CREATE INDEX sessions_grant ON sessions (grant_id);

CREATE TABLE suspensions (
    id         TEXT PRIMARY KEY,
    scope_kind TEXT NOT NULL,
    scope_name TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    ordered_by TEXT NOT NULL,
    statement  TEXT NOT NULL,
    ordered    INTEGER NOT NULL,
    lifted     INTEGER NOT NULL,
    report     TEXT NOT NULL
);

CREATE TABLE restorations (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    suspension TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    signer     TEXT NOT NULL,
    statement  TEXT NOT NULL,
    UNIQUE (suspension, epoch, signer)
);

CREATE TABLE log_entries (
    seq     INTEGER PRIMARY KEY, -- 0, 1, 2, …
    body    TEXT NOT NULL,       -- OCSF JSON: exactly these bytes are hashed
    leaf    BLOB NOT NULL,
    at      INTEGER NOT NULL,
    name    TEXT NOT NULL,
    actor   TEXT NOT NULL,
    vendor  TEXT NOT NULL,
    person  TEXT NOT NULL,
    target  TEXT NOT NULL,
    session TEXT NOT NULL
);
CREATE INDEX log_entries_name ON log_entries (name, seq);
CREATE INDEX log_entries_vendor ON log_entries (vendor, seq);
CREATE INDEX log_entries_person ON log_entries (person, seq);
CREATE INDEX log_entries_actor ON log_entries (actor, seq);
CREATE INDEX log_entries_session ON log_entries (session, seq);

CREATE TABLE log_hashes (
    idx  INTEGER PRIMARY KEY, -- golang.org/x/mod/sumdb/tlog StoredHashIndex
    hash BLOB NOT NULL
);

CREATE TABLE log_checkpoints (
    n    INTEGER PRIMARY KEY, -- 0, 1, 2, …: a dropped one is missed
    size INTEGER NOT NULL,
    note BLOB NOT NULL
);

CREATE TABLE health (
    id   INTEGER PRIMARY KEY,
    beat INTEGER NOT NULL
);

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
