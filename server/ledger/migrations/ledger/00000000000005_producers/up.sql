-- Producer offsets, written in one transaction with the jobs up to them. Loaded into an embedded
-- store at start.
CREATE TABLE producers (
    id TEXT NOT NULL PRIMARY KEY,
    answer BLOB NOT NULL,
    until_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX producers_by_end ON producers (until_ms);
