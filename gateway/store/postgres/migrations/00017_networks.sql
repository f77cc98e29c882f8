-- What a network is, as its definition says; of other kinds null. And the
-- WireGuard keys that have opened a session: one opens one, ever.

-- +goose Up
ALTER TABLE targets ADD COLUMN network TEXT COLLATE "C" NOT NULL DEFAULT 'null';
CREATE TABLE peer_keys_used (
    key    TEXT COLLATE "C" PRIMARY KEY,
    digest TEXT COLLATE "C" NOT NULL REFERENCES statements (digest)
);

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
