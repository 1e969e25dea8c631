-- One row a job. `status` is rewritten by every change, so what never changes and may be
-- large stays out of the way: `spec` holds a small spec, `specs` a large one. Not WITHOUT
-- ROWID: rows of some hundred bytes in the inner pages of the key would make it deep.
CREATE TABLE jobs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 8),
    status BLOB NOT NULL,
    spec BLOB
);

-- Serves lists and counts by queue and state; `kind` lets a list filter without the row.
CREATE INDEX jobs_by_state ON jobs (queue, state, id, kind);
-- Serves lists by kind over all queues; no change of state touches it.
CREATE INDEX jobs_by_kind ON jobs (kind, id);

CREATE TABLE specs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    spec BLOB NOT NULL
);

CREATE TABLE labels (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    job BLOB NOT NULL CHECK (length(job) = 16),
    PRIMARY KEY (key, value, job)
) WITHOUT ROWID;

-- Attempts that ended without success. An epoch is given once in the life of a job.
CREATE TABLE attempts (
    job BLOB NOT NULL CHECK (length(job) = 16),
    epoch BIGINT NOT NULL,
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    outcome INTEGER NOT NULL CHECK (outcome BETWEEN 1 AND 8),
    started_at_ms BIGINT,
    ended_at_ms BIGINT NOT NULL,
    worker TEXT,
    error_message TEXT,
    error_code TEXT,
    error_retryable BOOLEAN,
    PRIMARY KEY (job, epoch),
    CHECK ((error_message IS NULL) = (error_code IS NULL)),
    CHECK ((error_message IS NULL) = (error_retryable IS NULL))
) WITHOUT ROWID;

CREATE TABLE queues (
    name TEXT NOT NULL PRIMARY KEY,
    declaration BLOB NOT NULL
) WITHOUT ROWID;

-- Unique keys that outlive their job: held until a time. A start hands them to the hot store.
CREATE TABLE keys (
    key BLOB NOT NULL PRIMARY KEY,
    job BLOB NOT NULL CHECK (length(job) = 16),
    until_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX keys_by_end ON keys (until_ms);

-- How far the journal of a shard has been projected.
CREATE TABLE checkpoints (
    shard INTEGER NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL
);
INSERT INTO checkpoints (shard, epoch, seq, at_ms) VALUES (0, 0, 0, 0);
