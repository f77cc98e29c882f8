-- The nodes that share this store: who must answer an order of suspension, and
-- until when one that is silent may still serve. seen is by the store's own
-- clock. An order names the node that carries it out.

-- +goose Up
CREATE TABLE nodes (
    name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    boot    TEXT COLLATE "C" NOT NULL,
    seen    BIGINT NOT NULL,
    lease   BIGINT NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    gone    BIGINT NOT NULL
);
ALTER TABLE suspensions ADD COLUMN node TEXT COLLATE "C" NOT NULL DEFAULT '';

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
