-- What is carried over from the data directory of one server, and how far it is. The rows of a
-- page and the number of those that are here are written in one transaction.
CREATE TABLE IF NOT EXISTS moves (
    shard INT NOT NULL PRIMARY KEY,
    -- Where the journal ended that was left.
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    directory TEXT NOT NULL,
    -- 1: rows are copied. 2: the hot store is filled from them. 3: done.
    step INT NOT NULL CHECK (step BETWEEN 1 AND 3),
    moved BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
