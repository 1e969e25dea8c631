-- Statements can not be undone together here, so each may run again after a stop in the middle.
-- What is compared is VARBINARY: bytes are compared as they are, with case and trailing spaces.
CREATE TABLE IF NOT EXISTS jobs (
    id BINARY(16) NOT NULL PRIMARY KEY,
    queue VARBINARY(128) NOT NULL,
    kind VARBINARY(128) NOT NULL,
    state INT NOT NULL CHECK (state BETWEEN 1 AND 8),
    status MEDIUMBLOB NOT NULL,
    -- One that is larger is in `specs`; its size tells how many can be read at once.
    spec VARBINARY(1024),
    spec_bytes INT NOT NULL,
    -- Serves lists and counts by queue and state; `kind` lets a list filter without the row.
    KEY jobs_by_state (queue, state, id, kind),
    -- Serves lists by kind over all queues; no change of state touches it.
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

-- Attempts that ended without success. An epoch is given once in the life of a job.
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

-- Unique keys that outlive their job: held until a time. A start hands them to the hot store.
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

-- What an attempt's lines add up to, and the first seq that was not dropped for room.
CREATE TABLE IF NOT EXISTS log_sizes (
    job BINARY(16) NOT NULL,
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    bytes BIGINT NOT NULL CHECK (bytes >= 0),
    first_seq BIGINT NOT NULL CHECK (first_seq >= 0),
    PRIMARY KEY (job, run, attempt)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- How far the journal of a shard has been projected.
CREATE TABLE IF NOT EXISTS checkpoints (
    shard INT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO checkpoints (shard, epoch, seq, at_ms) VALUES (0, 0, 0, 0)
    ON DUPLICATE KEY UPDATE shard = shard;
