-- Kinds that workers declared, kept while no worker is connected.
CREATE TABLE kinds (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    input_schema TEXT NOT NULL,
    -- The start of the declaring session. The declaration of the newest session is kept.
    declared_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX kinds_seen ON kinds (seen_at_ms);
