-- The import of one server's data directory, and its progress. A page of rows and the number of
-- imported rows are written in one transaction.
CREATE TABLE IF NOT EXISTS moves (
    shard INT NOT NULL PRIMARY KEY,
    -- The end of the source's journal.
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    directory TEXT NOT NULL,
    -- 1: rows are being copied. 2: the store is being filled from them. 3: done.
    step INT NOT NULL CHECK (step BETWEEN 1 AND 3),
    moved BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
