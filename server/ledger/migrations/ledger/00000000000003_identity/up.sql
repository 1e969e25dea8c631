-- API keys. `secret_hash` is the SHA-256 of 256 random bits. `queues` contains queue names, or
-- prefixes with a star, separated by spaces; empty for all queues.
CREATE TABLE api_keys (
    id BIGINT NOT NULL PRIMARY KEY,
    secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
    name TEXT NOT NULL,
    role INTEGER NOT NULL CHECK (role BETWEEN 1 AND 5),
    queues TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at_ms BIGINT,
    revoked_at_ms BIGINT,
    last_used_at_ms BIGINT
);

-- Incremented by every change of a key that other servers must load. Polling it reads one row.
CREATE TABLE key_changes (
    shard INTEGER NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
);
INSERT INTO key_changes (shard, seq) VALUES (0, 0);

-- The audit log. An id starts with the time, like that of a job.
CREATE TABLE audit (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    actor TEXT NOT NULL,
    key_id BIGINT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    peer TEXT NOT NULL,
    request_id TEXT NOT NULL,
    outcome TEXT NOT NULL
) WITHOUT ROWID;
