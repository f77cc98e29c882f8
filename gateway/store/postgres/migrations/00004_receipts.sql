-- Each statement is filed with the machine's receipt: when that was, signed. A
-- statement that was filed before there were receipts has none, and entitles
-- nobody until it is signed anew.

-- +goose Up
ALTER TABLE statements ADD COLUMN receipt TEXT COLLATE "C" NOT NULL DEFAULT '{}';

-- +goose Down
-- There is no way down: the log and the statements are kept for ever.
SELECT 1;
