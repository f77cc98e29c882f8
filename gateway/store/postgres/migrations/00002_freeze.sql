-- A freeze is of a live session: 0 and empty where there is none, and after
-- the session's end.
-- +goose Up
ALTER TABLE sessions ADD COLUMN frozen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN frozen_by TEXT COLLATE "C" NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE sessions DROP COLUMN frozen_by;
ALTER TABLE sessions DROP COLUMN frozen;
