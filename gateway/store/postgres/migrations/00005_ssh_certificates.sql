-- User certificates of engineers' SSH keys. The row is an index to the signed
-- statement, and remembers when it was revoked.

-- +goose Up
CREATE TABLE ssh_certificates (
    fingerprint  TEXT COLLATE "C" PRIMARY KEY, -- of the certified key
    line         TEXT COLLATE "C" NOT NULL,
    person       TEXT COLLATE "C" NOT NULL,
    grant_id     TEXT COLLATE "C" NOT NULL,
    networks     TEXT COLLATE "C" NOT NULL,
    starts       BIGINT NOT NULL,
    ends         BIGINT NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    client       TEXT COLLATE "C" NOT NULL,
    vendor_epoch BIGINT NOT NULL,
    person_epoch BIGINT NOT NULL,
    statement    TEXT COLLATE "C" NOT NULL,
    issued       BIGINT NOT NULL,
    removed      BIGINT NOT NULL
);
CREATE INDEX ssh_certificates_person ON ssh_certificates (person, issued);

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
