-- Jobs database, version 1, SQLite.
-- Safe to run again: what exists is left as it is.

-- Job requests as every web process and agent knows them, old ones included: no column of
-- ours may be added here.  "what" and "complete_data" are JSON in plain ASCII.
-- AUTOINCREMENT: an id is never given out twice, since markers elsewhere are kept by id.
CREATE TABLE IF NOT EXISTS jobrequests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    action VARCHAR(40) NOT NULL,
    who VARCHAR(512) NOT NULL,
    `when` INTEGER NOT NULL,
    completed_at INTEGER,
    what TEXT NOT NULL,
    complete_data TEXT
);

CREATE INDEX IF NOT EXISTS jobrequests_completed_at ON jobrequests (completed_at);

-- What the table above has no place for.  A job without a row here came from an old web
-- process: its message is on its way.
--   state       queued, running, refused (never to be executed) or finished
--   sent        1 once the message is safe with the broker
--   token       names one attempt to record a job, so that trying again records it once
--   agent       who began it last, at begun_at (seconds since the epoch)
CREATE TABLE IF NOT EXISTS buildapi_jobs (
    request_id INTEGER NOT NULL PRIMARY KEY,
    state VARCHAR(10) NOT NULL,
    sent SMALLINT NOT NULL DEFAULT 0,
    token CHAR(32) UNIQUE,
    agent VARCHAR(255),
    begun_at INTEGER,
    created_at INTEGER NOT NULL
);

CREATE INDEX IF NOT EXISTS buildapi_jobs_state ON buildapi_jobs (state, sent);
