-- The nodes that share this store: who must answer an order of suspension, and
-- until when one that is silent may still serve. seen is by the store's own
-- clock. An order names the node that carries it out.

-- +goose Up
CREATE TABLE nodes (
    name    TEXT NOT NULL PRIMARY KEY,
    boot    TEXT NOT NULL,
    seen    INTEGER NOT NULL,
    lease   INTEGER NOT NULL,
    version TEXT NOT NULL,
    gone    INTEGER NOT NULL
);
ALTER TABLE suspensions ADD COLUMN node TEXT NOT NULL DEFAULT '';

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
