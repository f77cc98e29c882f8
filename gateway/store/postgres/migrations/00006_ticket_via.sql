-- Which login or which SSH security key a ticket was made with: a terminal in
-- the browser takes none but its own login's.

-- +goose Up
ALTER TABLE tickets ADD COLUMN via TEXT COLLATE "C" NOT NULL DEFAULT '';

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
