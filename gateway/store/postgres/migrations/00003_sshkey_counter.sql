-- An SSH security key counts its signatures. The counter of the last touch
-- that it gave is kept, so that a copy of the key is noticed.

-- +goose Up
ALTER TABLE ssh_keys ADD COLUMN counter BIGINT NOT NULL DEFAULT 0;

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
