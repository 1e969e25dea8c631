-- Kinds as workers declare them, so that they are known when no worker is there. A schema is one
-- of 16 KiB at the most; the words of a session that began later take the place of others.
CREATE TABLE IF NOT EXISTS kinds (
    name VARCHAR(128) NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    input_schema TEXT NOT NULL,
    declared_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    KEY kinds_seen (seen_at_ms)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
