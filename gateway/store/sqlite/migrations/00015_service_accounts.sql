-- Service accounts: what one has instead of a FIDO2 key (of people null), who
-- asked in its name, and the tokens that it has used, by their digest.

-- +goose Up
ALTER TABLE people ADD COLUMN service TEXT NOT NULL DEFAULT 'null';
CREATE INDEX people_service ON people (name) WHERE service <> 'null';
ALTER TABLE requests ADD COLUMN asker TEXT NOT NULL DEFAULT '';
CREATE TABLE service_tokens (
    digest  TEXT PRIMARY KEY,
    expires INTEGER NOT NULL
);
CREATE INDEX service_tokens_expires ON service_tokens (expires);

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
