-- How a console proves its name, and which name it hears, as its definition
-- says; of other kinds null.

-- +goose Up
ALTER TABLE targets ADD COLUMN https TEXT NOT NULL DEFAULT 'null';

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
