-- User certificates of engineers' SSH keys. The row is an index to the signed
-- statement, and remembers when it was revoked.

-- +goose Up
CREATE TABLE ssh_certificates (
    fingerprint  TEXT PRIMARY KEY, -- of the certified key
    line         TEXT NOT NULL,
    person       TEXT NOT NULL,
    grant_id     TEXT NOT NULL,
    networks     TEXT NOT NULL,
    starts       INTEGER NOT NULL,
    ends         INTEGER NOT NULL,
    source       TEXT NOT NULL,
    client       TEXT NOT NULL,
    vendor_epoch INTEGER NOT NULL,
    person_epoch INTEGER NOT NULL,
    statement    TEXT NOT NULL,
    issued       INTEGER NOT NULL,
    removed      INTEGER NOT NULL
);
CREATE INDEX ssh_certificates_person ON ssh_certificates (person, issued);

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
