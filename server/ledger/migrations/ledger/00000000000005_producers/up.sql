-- Where producers stand in the streams of their items, in one transaction with the jobs up to
-- there. A start hands them to the hot store.
CREATE TABLE producers (
    id TEXT NOT NULL PRIMARY KEY,
    answer BLOB NOT NULL,
    until_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX producers_by_end ON producers (until_ms);
