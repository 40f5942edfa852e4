-- Jobs database, version 3 (2 lacked the branches, 1 the keys and the progress too), MySQL and MariaDB.
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

-- What clients call their job requests by, so that repeating one does nothing again.  A key
-- stands for its job for a day, unless the job is refused; later the program deletes it.
--   name        digest of user and key (64 hex digits, as is content)
--   content     digest of what was asked: the same key for something else is refused
--   words       of the first answer, given again
--   request_id  the job; created_at is when it was recorded (seconds since the epoch)
CREATE TABLE IF NOT EXISTS buildapi_keys (
    name CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    content CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    words TEXT NOT NULL,
    request_id INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    KEY buildapi_keys_request_id (request_id),
    KEY buildapi_keys_created_at (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- How far jobs are that run long enough to be looked at; a row goes when its job is finished.
--   total       items there will be in the end
--   items       those so far, a JSON list in plain ASCII
--   updated_at  seconds since the epoch
CREATE TABLE IF NOT EXISTS buildapi_progress (
    request_id INTEGER NOT NULL PRIMARY KEY,
    total INTEGER NOT NULL,
    items LONGTEXT NOT NULL,
    updated_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- The branch that each job request was sent for, as its path said: the table of job requests
-- tells it only of some.
CREATE TABLE IF NOT EXISTS buildapi_branches (
    request_id INTEGER NOT NULL PRIMARY KEY,
    branch VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
    KEY buildapi_branches_branch (branch, request_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
