-- Jobs database, version 6 (5 lacked rebuilds and samples of the load, 4 what tokens may do, who used them, groups of users and the audit log, 3 processes, trail and tokens too, 2 the branches, 1 all but the first two), MySQL and MariaDB.
-- Safe to run again: what exists is left as it is.

-- Job requests as every web process and agent knows them, old ones included: no column of
-- ours may be added here.  "what" and "complete_data" are JSON in plain ASCII.
-- "when" is a reserved word [MySQL, "Keywords and Reserved Words"], but the name that old programs
-- use.
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
--   token       the identity of the job, its own among all that ever were: trying again records
--               it once, and its marker and messages are told from those of a job that had the
--               same id before this database was restored
--   agent       who began it last, at begun_at (seconds since the epoch)
-- Each table names its engine: where the default is MyISAM, a job could be written in part.
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
-- Digests are ascii_bin: one byte a digit in the index.
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
-- utf8mb4_bin, since the default collation takes Try for try.
CREATE TABLE IF NOT EXISTS buildapi_branches (
    request_id INTEGER NOT NULL PRIMARY KEY,
    branch VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
    KEY buildapi_branches_branch (branch, request_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- What each process of this program says of itself every few seconds; one that ends in order
-- deletes its row.
--   instance    its own among all that ever were
--   name        the host's, as [service] name says
--   roles       api, agent or both, with a comma between
--   state       starting, running or draining
--   beat_at     when it said so (seconds since the epoch, by its own clock, as is started_at)
--   detail      what it has in hand and whom it does not reach, a JSON object in plain ASCII
CREATE TABLE IF NOT EXISTS buildapi_processes (
    instance VARCHAR(191) NOT NULL PRIMARY KEY,
    name VARCHAR(1000) NOT NULL,
    pid BIGINT NOT NULL,
    version VARCHAR(40) NOT NULL,
    roles VARCHAR(40) NOT NULL,
    state VARCHAR(10) NOT NULL,
    started_at BIGINT NOT NULL,
    beat_at BIGINT NOT NULL,
    detail LONGTEXT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- What happened to each job request on its way, for whoever asks how it ended; old rows are
-- deleted by the program.
--   at          milliseconds since the epoch, by the clock of host
--   part        http, outbox, agent or finisher
--   event       a short word; detail tells more
--   trace       id of the HTTP request it began with
-- The key on "at" is for the deletion of old rows, which would lock the whole table otherwise.
CREATE TABLE IF NOT EXISTS buildapi_trail (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    request_id INTEGER NOT NULL,
    at BIGINT NOT NULL,
    host VARCHAR(1000) NOT NULL,
    part VARCHAR(20) NOT NULL,
    event VARCHAR(40) NOT NULL,
    trace VARCHAR(64) NOT NULL,
    detail LONGTEXT NOT NULL,
    KEY buildapi_trail_request_id (request_id),
    KEY buildapi_trail_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Tokens that programs show in place of a password.  Of each only the digest is kept, 64 hex
-- digits, which is of no use to a reader.
--   who         for whom it stands
--   label       what its owner calls it
--   expires_at  when it ends (seconds since the epoch, as are created_at and used_at)
CREATE TABLE IF NOT EXISTS buildapi_tokens (
    id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
    digest CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    who VARCHAR(512) COLLATE utf8mb4_bin NOT NULL,
    label VARCHAR(200) NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    UNIQUE KEY buildapi_tokens_digest (digest),
    KEY buildapi_tokens_who (who)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- What a token may do of all that its user may; one without a row is not limited.
--   scope       a JSON object in plain ASCII
CREATE TABLE IF NOT EXISTS buildapi_token_scopes (
    token_id INTEGER NOT NULL PRIMARY KEY,
    scope LONGTEXT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- The addresses that used a token last, each with its last time (seconds since the epoch).
CREATE TABLE IF NOT EXISTS buildapi_token_uses (
    token_id INTEGER NOT NULL,
    address VARCHAR(100) COLLATE utf8mb4_bin NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (token_id, address)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- The groups that a proxy named of a user last, for requests with tokens of the user; old rows
-- are deleted by the program.
--   name        digest of the user's name (64 hex digits): names longer than an index allows, and
--               those that differ in a blank at the end, are told apart
--   member_of   names of groups, a JSON list in plain ASCII
--   seen_at     when the proxy named them (seconds since the epoch)
CREATE TABLE IF NOT EXISTS buildapi_user_groups (
    name CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    who VARCHAR(512) COLLATE utf8mb4_bin NOT NULL,
    member_of LONGTEXT NOT NULL,
    seen_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- The audit log: who asked for what, from where, and what was answered.  Rows are never changed;
-- old ones are deleted by the program.  No password, token or value of a property is in it.
--   identity    of the record, its own among all that ever were: writing it again adds none
--   at          milliseconds since the epoch, by the clock of host
--   who         the user, NULL for nobody; known_by says how: proxy, token, development, command
--               or process; user_groups are their groups, token_id and token_label the token used
--   address     of the client, as trusted proxies name it; peer is that of the connection,
--               forwarded what X-Forwarded-For said
--   action      an action of a job request, or another word; branch, build_id, request_id (of
--               a build request), revision and builders are what it is about, as far as known
--   outcome     accepted (with job_id), done, refused (with status and code) or failed
--   trace       id of the HTTP request
--   counted     of how many refusals this is the record
CREATE TABLE IF NOT EXISTS buildapi_audit (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    identity CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    at BIGINT NOT NULL,
    host VARCHAR(1000) NOT NULL,
    who VARCHAR(512) COLLATE utf8mb4_bin,
    known_by VARCHAR(20) NOT NULL,
    user_groups LONGTEXT NOT NULL,
    token_id INTEGER,
    token_label VARCHAR(200) NOT NULL,
    address VARCHAR(100) COLLATE utf8mb4_bin NOT NULL,
    peer VARCHAR(100) NOT NULL,
    forwarded VARCHAR(500) NOT NULL,
    user_agent VARCHAR(200) NOT NULL,
    action VARCHAR(200) COLLATE utf8mb4_bin NOT NULL,
    branch VARCHAR(255) COLLATE utf8mb4_bin,
    build_id BIGINT,
    request_id BIGINT,
    revision VARCHAR(255) COLLATE utf8mb4_bin,
    builders LONGTEXT NOT NULL,
    outcome VARCHAR(20) NOT NULL,
    status SMALLINT,
    code VARCHAR(40) NOT NULL,
    job_id INTEGER,
    detail LONGTEXT NOT NULL,
    trace VARCHAR(64) NOT NULL,
    counted INTEGER NOT NULL,
    UNIQUE KEY buildapi_audit_identity (identity),
    KEY buildapi_audit_at (at),
    KEY buildapi_audit_who (who),
    KEY buildapi_audit_address (address),
    KEY buildapi_audit_action (action),
    KEY buildapi_audit_branch (branch),
    KEY buildapi_audit_build_id (build_id),
    KEY buildapi_audit_request_id (request_id),
    KEY buildapi_audit_revision (revision),
    KEY buildapi_audit_outcome (outcome),
    KEY buildapi_audit_job_id (job_id),
    KEY buildapi_audit_token_id (token_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- The new requests of rebuilds.  A row stays as long as that of its job; where the scheduler
-- database was restored and gives out an id again, the latest rebuild takes the row.
--   request_id  of the new build request
--   origin_kind build or request: what was rebuilt, with origin_id, its id
--   job_id      the job request that asked; created_at is when it finished (seconds since the epoch)
CREATE TABLE IF NOT EXISTS buildapi_rebuilds (
    request_id INTEGER NOT NULL PRIMARY KEY,
    origin_kind VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    origin_id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    KEY buildapi_rebuilds_origin (origin_kind, origin_id, request_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Samples of the farm's load, for charts: at most one a minute, whichever process takes it.
--   at            seconds since the epoch, the start of the minute
--   pending, running
--                 build requests that wait, builds that run
--   longest_wait  seconds that the oldest of those requests has waited, NULL without any
CREATE TABLE IF NOT EXISTS buildapi_load (
    at BIGINT NOT NULL PRIMARY KEY,
    pending INTEGER NOT NULL,
    running INTEGER NOT NULL,
    longest_wait BIGINT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
