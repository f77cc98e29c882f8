-- Suspensions of a target, a zone, a protocol or of every vendor: their state
-- and epoch, from the first one on. What a session reaches is kept with it, and
-- an order says what it does to what is live.
-- +goose Up
CREATE TABLE closures (
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    state TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
);
ALTER TABLE sessions ADD COLUMN zone TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN wide_epochs TEXT NOT NULL DEFAULT 'null';
ALTER TABLE suspensions ADD COLUMN closing TEXT NOT NULL DEFAULT '{"mode":"cut"}';

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
