-- Kinds as workers declare them, so that they are known when no worker is there.
CREATE TABLE kinds (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    input_schema TEXT NOT NULL,
    -- When the session began whose words these are: those of a later one take their place.
    declared_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX kinds_seen ON kinds (seen_at_ms);
