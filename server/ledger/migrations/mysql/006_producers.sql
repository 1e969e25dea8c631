-- Producer offsets, written in one transaction with the jobs up to them. Loaded into an embedded
-- store at start.
CREATE TABLE IF NOT EXISTS producers (
    id VARCHAR(256) NOT NULL PRIMARY KEY,
    answer MEDIUMBLOB NOT NULL,
    until_ms BIGINT NOT NULL,
    KEY producers_by_end (until_ms)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
