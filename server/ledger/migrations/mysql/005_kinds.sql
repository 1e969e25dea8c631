-- Kinds that workers declared, kept while no worker is connected. A schema has at most 16 KiB. The
-- declaration of the session that started last is kept.
CREATE TABLE IF NOT EXISTS kinds (
    name VARCHAR(128) NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    input_schema TEXT NOT NULL,
    declared_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    KEY kinds_seen (seen_at_ms)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
