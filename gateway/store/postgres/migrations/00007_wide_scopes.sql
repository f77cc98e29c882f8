-- Suspensions of a target, a zone, a protocol or of every vendor: their state
-- and epoch, from the first one on. What a session reaches is kept with it, and
-- an order says what it does to what is live.
-- +goose Up
CREATE TABLE closures (
    kind  TEXT COLLATE "C" NOT NULL,
    name  TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);
ALTER TABLE sessions ADD COLUMN zone TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN wide_epochs TEXT COLLATE "C" NOT NULL DEFAULT 'null';
ALTER TABLE suspensions ADD COLUMN closing TEXT COLLATE "C" NOT NULL DEFAULT '{"mode":"cut"}';

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
