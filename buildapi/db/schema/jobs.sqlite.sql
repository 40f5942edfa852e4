-- Jobs database, version 6 (5 lacked rebuilds and samples of the load, 4 what tokens may do, who used them, groups of users and the audit log, 3 processes, trail and tokens too, 2 the branches, 1 all but the first two), SQLite.
-- Safe to run again: what exists is left as it is.

-- Job requests as every web process and agent knows them, old ones included: no column of
-- ours may be added here.  "what" and "complete_data" are JSON in plain ASCII.
-- AUTOINCREMENT: an id is never given out twice, since markers elsewhere are kept by id.
-- SQLite accepts MySQL's backquotes [SQLite, "SQLite Keywords"], and ignores the lengths of types
-- [SQLite, "Datatypes In SQLite"].
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
--   token       the identity of the job, its own among all that ever were: trying again records
--               it once, and its marker and messages are told from those of a job that had the
--               same id before this database was restored
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

-- What clients call their job requests by, so that repeating one does nothing again.  A key
-- stands for its job for a day, unless the job is refused; later the program deletes it.
--   name        digest of user and key (64 hex digits, as is content)
--   content     digest of what was asked: the same key for something else is refused
--   words       of the first answer, given again
--   request_id  the job; created_at is when it was recorded (seconds since the epoch)
CREATE TABLE IF NOT EXISTS buildapi_keys (
    name CHAR(64) NOT NULL PRIMARY KEY,
    content CHAR(64) NOT NULL,
    words TEXT NOT NULL,
    request_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE INDEX IF NOT EXISTS buildapi_keys_request_id ON buildapi_keys (request_id);

CREATE INDEX IF NOT EXISTS buildapi_keys_created_at ON buildapi_keys (created_at);

-- How far jobs are that run long enough to be looked at; a row goes when its job is finished.
--   total       items there will be in the end
--   items       those so far, a JSON list in plain ASCII
--   updated_at  seconds since the epoch
CREATE TABLE IF NOT EXISTS buildapi_progress (
    request_id INTEGER NOT NULL PRIMARY KEY,
    total INTEGER NOT NULL,
    items TEXT NOT NULL,
    updated_at INTEGER NOT NULL
);

-- The branch that each job request was sent for, as its path said: the table of job requests
-- tells it only of some.
CREATE TABLE IF NOT EXISTS buildapi_branches (
    request_id INTEGER NOT NULL PRIMARY KEY,
    branch VARCHAR(255) NOT NULL
);

CREATE INDEX IF NOT EXISTS buildapi_branches_branch ON buildapi_branches (branch, request_id);

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
    pid INTEGER NOT NULL,
    version VARCHAR(40) NOT NULL,
    roles VARCHAR(40) NOT NULL,
    state VARCHAR(10) NOT NULL,
    started_at INTEGER NOT NULL,
    beat_at INTEGER NOT NULL,
    detail TEXT NOT NULL
);

-- What happened to each job request on its way, for whoever asks how it ended; old rows are
-- deleted by the program.
--   at          milliseconds since the epoch, by the clock of host
--   part        http, outbox, agent or finisher
--   event       a short word; detail tells more
--   trace       id of the HTTP request it began with
-- The index on "at" is for the deletion of old rows.
CREATE TABLE IF NOT EXISTS buildapi_trail (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    host VARCHAR(1000) NOT NULL,
    part VARCHAR(20) NOT NULL,
    event VARCHAR(40) NOT NULL,
    trace VARCHAR(64) NOT NULL,
    detail TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS buildapi_trail_request_id ON buildapi_trail (request_id);

CREATE INDEX IF NOT EXISTS buildapi_trail_at ON buildapi_trail (at);

-- Tokens that programs show in place of a password.  Of each only the digest is kept, 64 hex
-- digits, which is of no use to a reader.
--   who         for whom it stands
--   label       what its owner calls it
--   expires_at  when it ends (seconds since the epoch, as are created_at and used_at)
CREATE TABLE IF NOT EXISTS buildapi_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest CHAR(64) NOT NULL,
    who VARCHAR(512) NOT NULL,
    label VARCHAR(200) NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
);

CREATE UNIQUE INDEX IF NOT EXISTS buildapi_tokens_digest ON buildapi_tokens (digest);

CREATE INDEX IF NOT EXISTS buildapi_tokens_who ON buildapi_tokens (who);

-- What a token may do of all that its user may; one without a row is not limited.
--   scope       a JSON object in plain ASCII
CREATE TABLE IF NOT EXISTS buildapi_token_scopes (
    token_id INTEGER NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL
);

-- The addresses that used a token last, each with its last time (seconds since the epoch).
CREATE TABLE IF NOT EXISTS buildapi_token_uses (
    token_id INTEGER NOT NULL,
    address VARCHAR(100) NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (token_id, address)
);

-- The groups that a proxy named of a user last, for requests with tokens of the user; old rows
-- are deleted by the program.
--   name        digest of the user's name (64 hex digits)
--   member_of   names of groups, a JSON list in plain ASCII
--   seen_at     when the proxy named them (seconds since the epoch)
CREATE TABLE IF NOT EXISTS buildapi_user_groups (
    name CHAR(64) NOT NULL PRIMARY KEY,
    who VARCHAR(512) NOT NULL,
    member_of TEXT NOT NULL,
    seen_at INTEGER NOT NULL
);

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
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    identity CHAR(32) NOT NULL,
    at INTEGER NOT NULL,
    host VARCHAR(1000) NOT NULL,
    who VARCHAR(512),
    known_by VARCHAR(20) NOT NULL,
    user_groups TEXT NOT NULL,
    token_id INTEGER,
    token_label VARCHAR(200) NOT NULL,
    address VARCHAR(100) NOT NULL,
    peer VARCHAR(100) NOT NULL,
    forwarded VARCHAR(500) NOT NULL,
    user_agent VARCHAR(200) NOT NULL,
    action VARCHAR(200) NOT NULL,
    branch VARCHAR(255),
    build_id INTEGER,
    request_id INTEGER,
    revision VARCHAR(255),
    builders TEXT NOT NULL,
    outcome VARCHAR(20) NOT NULL,
    status SMALLINT,
    code VARCHAR(40) NOT NULL,
    job_id INTEGER,
    detail TEXT NOT NULL,
    trace VARCHAR(64) NOT NULL,
    counted INTEGER NOT NULL
);

CREATE UNIQUE INDEX IF NOT EXISTS buildapi_audit_identity ON buildapi_audit (identity);

CREATE INDEX IF NOT EXISTS buildapi_audit_at ON buildapi_audit (at);

CREATE INDEX IF NOT EXISTS buildapi_audit_who ON buildapi_audit (who);

CREATE INDEX IF NOT EXISTS buildapi_audit_address ON buildapi_audit (address);

CREATE INDEX IF NOT EXISTS buildapi_audit_action ON buildapi_audit (action);

CREATE INDEX IF NOT EXISTS buildapi_audit_branch ON buildapi_audit (branch);

CREATE INDEX IF NOT EXISTS buildapi_audit_build_id ON buildapi_audit (build_id);

CREATE INDEX IF NOT EXISTS buildapi_audit_request_id ON buildapi_audit (request_id);

CREATE INDEX IF NOT EXISTS buildapi_audit_revision ON buildapi_audit (revision);

CREATE INDEX IF NOT EXISTS buildapi_audit_outcome ON buildapi_audit (outcome);

CREATE INDEX IF NOT EXISTS buildapi_audit_job_id ON buildapi_audit (job_id);

CREATE INDEX IF NOT EXISTS buildapi_audit_token_id ON buildapi_audit (token_id);

-- The new requests of rebuilds.  A row stays as long as that of its job; where the scheduler
-- database was restored and gives out an id again, the latest rebuild takes the row.
--   request_id  of the new build request
--   origin_kind build or request: what was rebuilt, with origin_id, its id
--   job_id      the job request that asked; created_at is when it finished (seconds since the epoch)
CREATE TABLE IF NOT EXISTS buildapi_rebuilds (
    request_id INTEGER NOT NULL PRIMARY KEY,
    origin_kind VARCHAR(10) NOT NULL,
    origin_id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE INDEX IF NOT EXISTS buildapi_rebuilds_origin ON buildapi_rebuilds (origin_kind, origin_id, request_id);

-- Samples of the farm's load, for charts: at most one a minute, whichever process takes it.
--   at            seconds since the epoch, the start of the minute
--   pending, running
--                 build requests that wait, builds that run
--   longest_wait  seconds that the oldest of those requests has waited, NULL without any
CREATE TABLE IF NOT EXISTS buildapi_load (
    at INTEGER NOT NULL PRIMARY KEY,
    pending INTEGER NOT NULL,
    running INTEGER NOT NULL,
    longest_wait INTEGER
);
