-- One row per job. Every change rewrites `status`, so a large spec is stored in `specs` and only a
-- small one in `spec`. Not WITHOUT ROWID: rows of some hundred bytes in the inner pages would make
-- the primary key's tree deep.
CREATE TABLE jobs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 8),
    status BLOB NOT NULL,
    spec BLOB
);

-- For lists and counts by queue and state. With `kind` a list can filter without the row.
CREATE INDEX jobs_by_state ON jobs (queue, state, id, kind);
-- For lists by kind over all queues. Changes of state do not update it.
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

-- Attempts that finished without success. Lease epochs are unique within a job.
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

-- Unique keys with an expiry, which may outlive their job. Loaded into an embedded store at start.
CREATE TABLE keys (
    key BLOB NOT NULL PRIMARY KEY,
    job BLOB NOT NULL CHECK (length(job) = 16),
    until_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX keys_by_end ON keys (until_ms);

-- The position up to which the journal of a shard is projected.
CREATE TABLE checkpoints (
    shard INTEGER NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL
);
INSERT INTO checkpoints (shard, epoch, seq, at_ms) VALUES (0, 0, 0, 0);
