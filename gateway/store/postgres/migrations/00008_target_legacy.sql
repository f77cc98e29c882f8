-- The weak algorithms that an old target needs, as its definition says.

-- +goose Up
ALTER TABLE targets ADD COLUMN legacy TEXT COLLATE "C" NOT NULL DEFAULT 'null';

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
