-- A session that was opened in the stage supervised of a restoration stays so
-- to its end. The stage itself has no row: it is what signed statements say.

-- +goose Up
ALTER TABLE sessions ADD COLUMN supervised BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE sessions DROP COLUMN supervised;
