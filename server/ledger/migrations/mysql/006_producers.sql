-- Where producers stand in the streams of their items, in one transaction with the jobs up to
-- there. A start hands them to the hot store.
CREATE TABLE IF NOT EXISTS producers (
    id VARCHAR(256) NOT NULL PRIMARY KEY,
    answer MEDIUMBLOB NOT NULL,
    until_ms BIGINT NOT NULL,
    KEY producers_by_end (until_ms)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
