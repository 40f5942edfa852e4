-- Markers in the scheduler database, version 1, SQLite.
-- Safe to run again: what exists is left as it is.

-- One row for each job whose writes are in this database, written in the same transaction:
-- a message that comes twice finds it and writes nothing.
--   plan        what the job writes and does, JSON
--   outcome     its outcome, JSON, once that is settled
--   created_at  seconds since the epoch
-- No column of later versions: agents of older ones write to this table too, so that the identity
-- of a job is in its plan. A negative request_id is of an earlier job whose id was used again
-- (docs/explanation/failure-model.md, "The jobs database").
CREATE TABLE IF NOT EXISTS buildapi_markers (
    request_id INTEGER NOT NULL PRIMARY KEY,
    state VARCHAR(10) NOT NULL,
    plan TEXT NOT NULL,
    outcome TEXT,
    created_at INTEGER NOT NULL
);
