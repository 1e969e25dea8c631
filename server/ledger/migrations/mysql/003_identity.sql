-- API keys and the audit log. Servers of the previous version do not read these tables.

-- `secret_hash` is the SHA-256 of 256 random bits. `queues` contains queue names, or prefixes with a
-- star, separated by spaces; empty for all queues.
CREATE TABLE IF NOT EXISTS api_keys (
    id BIGINT NOT NULL PRIMARY KEY,
    secret_hash BINARY(32) NOT NULL,
    name VARCHAR(128) NOT NULL,
    role INT NOT NULL CHECK (role BETWEEN 1 AND 5),
    queues TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    created_by VARCHAR(256) NOT NULL,
    expires_at_ms BIGINT,
    revoked_at_ms BIGINT,
    last_used_at_ms BIGINT
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Incremented by every change of a key that other servers must load. Polling it reads one row.
CREATE TABLE IF NOT EXISTS key_changes (
    shard INT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO key_changes (shard, seq) VALUES (0, 0)
    ON DUPLICATE KEY UPDATE shard = shard;

-- The audit log. An id starts with the time, like that of a job.
CREATE TABLE IF NOT EXISTS audit (
    id BINARY(16) NOT NULL PRIMARY KEY,
    actor VARCHAR(256) NOT NULL,
    key_id BIGINT,
    action VARCHAR(256) NOT NULL,
    target VARCHAR(256) NOT NULL,
    peer VARCHAR(64) NOT NULL,
    request_id VARCHAR(256) NOT NULL,
    outcome VARCHAR(64) NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
