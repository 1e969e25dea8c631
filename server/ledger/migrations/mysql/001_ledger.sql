-- MySQL commits each DDL statement by itself, so each one can run again after an interruption.
-- Compared columns are VARBINARY, so that case and trailing spaces are significant.
CREATE TABLE IF NOT EXISTS jobs (
    id BINARY(16) NOT NULL PRIMARY KEY,
    queue VARBINARY(128) NOT NULL,
    kind VARBINARY(128) NOT NULL,
    state INT NOT NULL CHECK (state BETWEEN 1 AND 8),
    status MEDIUMBLOB NOT NULL,
    -- NULL if the spec is in `specs`. `spec_bytes` limits how many jobs one statement reads.
    spec VARBINARY(1024),
    spec_bytes INT NOT NULL,
    -- For lists and counts by queue and state. With `kind` a list can filter without the row.
    KEY jobs_by_state (queue, state, id, kind),
    -- For lists by kind over all queues. Changes of state do not update it.
    KEY jobs_by_kind (kind, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS specs (
    id BINARY(16) NOT NULL PRIMARY KEY,
    spec LONGBLOB NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS labels (
    `key` VARBINARY(128) NOT NULL,
    `value` VARBINARY(256) NOT NULL,
    job BINARY(16) NOT NULL,
    PRIMARY KEY (`key`, `value`, job)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Attempts that finished without success. Lease epochs are unique within a job.
CREATE TABLE IF NOT EXISTS attempts (
    job BINARY(16) NOT NULL,
    epoch BIGINT NOT NULL,
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    outcome INT NOT NULL CHECK (outcome BETWEEN 1 AND 8),
    started_at_ms BIGINT,
    ended_at_ms BIGINT NOT NULL,
    worker TEXT,
    error_message MEDIUMTEXT,
    error_code TEXT,
    error_retryable BOOLEAN,
    PRIMARY KEY (job, epoch),
    CHECK ((error_message IS NULL) = (error_code IS NULL)),
    CHECK ((error_message IS NULL) = (error_retryable IS NULL))
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS queues (
    name VARBINARY(128) NOT NULL PRIMARY KEY,
    declaration MEDIUMBLOB NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Unique keys with an expiry, which may outlive their job. Loaded into an embedded store at start.
CREATE TABLE IF NOT EXISTS `keys` (
    `key` VARBINARY(64) NOT NULL PRIMARY KEY,
    job BINARY(16) NOT NULL,
    until_ms BIGINT NOT NULL,
    KEY keys_by_end (until_ms)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS logs (
    job BINARY(16) NOT NULL,
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    seq BIGINT NOT NULL CHECK (seq >= 0),
    at_ms BIGINT NOT NULL,
    level INT NOT NULL CHECK (level BETWEEN 0 AND 255),
    text MEDIUMTEXT NOT NULL,
    PRIMARY KEY (job, run, attempt, seq)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The size of an attempt's lines, and the first seq that was not dropped to keep the size limit.
CREATE TABLE IF NOT EXISTS log_sizes (
    job BINARY(16) NOT NULL,
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    bytes BIGINT NOT NULL CHECK (bytes >= 0),
    first_seq BIGINT NOT NULL CHECK (first_seq >= 0),
    PRIMARY KEY (job, run, attempt)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The position up to which the journal of a shard is projected.
CREATE TABLE IF NOT EXISTS checkpoints (
    shard INT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO checkpoints (shard, epoch, seq, at_ms) VALUES (0, 0, 0, 0)
    ON DUPLICATE KEY UPDATE shard = shard;
