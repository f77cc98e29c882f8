-- A node that drains before a restart says so: it opens nothing new, holds what
-- is live, and still answers for it.

-- +goose Up
ALTER TABLE nodes ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
