-- Jobs database, version 1, MySQL and MariaDB.
-- Safe to run again: what exists is left as it is.

-- Job requests as every web process and agent knows them, old ones included: no column of
-- ours may be added here.  "what" and "complete_data" are JSON in plain ASCII.
CREATE TABLE IF NOT EXISTS jobrequests (
    id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
    action VARCHAR(40) NOT NULL,
    who VARCHAR(512) NOT NULL,
    `when` BIGINT NOT NULL,
    completed_at BIGINT,
    what LONGTEXT NOT NULL,
    complete_data LONGTEXT,
    KEY jobrequests_completed_at (completed_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

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
    token CHAR(32),
    agent VARCHAR(255),
    begun_at BIGINT,
    created_at BIGINT NOT NULL,
    UNIQUE KEY buildapi_jobs_token (token),
    KEY buildapi_jobs_state (state, sent)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
