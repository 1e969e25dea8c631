CREATE TABLE logs (
    job BLOB NOT NULL CHECK (length(job) = 16),
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 0),
    at_ms BIGINT NOT NULL,
    level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 255),
    text TEXT NOT NULL,
    PRIMARY KEY (job, run, attempt, seq)
) WITHOUT ROWID;

-- The size of an attempt's lines, and the first seq that was not dropped to keep the size limit.
CREATE TABLE log_sizes (
    job BLOB NOT NULL CHECK (length(job) = 16),
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    bytes BIGINT NOT NULL CHECK (bytes >= 0),
    first_seq BIGINT NOT NULL CHECK (first_seq >= 0),
    PRIMARY KEY (job, run, attempt)
) WITHOUT ROWID;
