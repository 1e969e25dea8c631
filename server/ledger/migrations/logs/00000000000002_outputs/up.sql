-- Streamed output of attempts. The epoch distinguishes the leases of one attempt. The chunks of a
-- lease are numbered from 1 without gaps in `piece`.
CREATE TABLE outputs (
    job BLOB NOT NULL CHECK (length(job) = 16),
    run BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    piece BIGINT NOT NULL CHECK (piece >= 1),
    start_byte BIGINT NOT NULL CHECK (start_byte >= 0),
    end_byte BIGINT NOT NULL CHECK (end_byte > start_byte),
    data BLOB NOT NULL,
    PRIMARY KEY (job, run, attempt, epoch, piece)
) WITHOUT ROWID;
