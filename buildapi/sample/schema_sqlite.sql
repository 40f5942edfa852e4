-- Scheduler database of Buildbot 0.8.0 to 0.8.4 (schema version 6), with the indexes the farm's own
-- MySQL database has. Times are seconds since the epoch. Buildbot writes fractions of seconds here.

-- One builder asked for one buildset. Pending: claimed_at = 0 and complete = 0.
CREATE TABLE `buildrequests` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `buildsetid` INTEGER NOT NULL,
    `buildername` VARCHAR(256) NOT NULL,
    `priority` INTEGER NOT NULL DEFAULT 0,
    `claimed_at` INTEGER DEFAULT 0, -- refreshed by the master as a heartbeat
    `claimed_by_name` VARCHAR(256), -- host:/base directory of the master
    `claimed_by_incarnation` VARCHAR(256), -- process and start time of the master
    `complete` INTEGER DEFAULT 0,
    `results` SMALLINT, -- 0 success, 1 warnings, 2 failure, 3 skipped, 4 exception, 5 retry
    `submitted_at` INTEGER NOT NULL,
    `complete_at` INTEGER
);
CREATE INDEX `buildrequests_buildsetid` ON `buildrequests` (`buildsetid`);
CREATE INDEX `buildrequests_buildername` ON `buildrequests` (`buildername`);
CREATE INDEX `buildrequests_complete` ON `buildrequests` (`complete`);
CREATE INDEX `buildrequests_claimed_at` ON `buildrequests` (`claimed_at`);
CREATE INDEX `buildrequests_claimed_by_name` ON `buildrequests` (`claimed_by_name`);

-- One try at a request. number counts per master and builder.
CREATE TABLE `builds` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `number` INTEGER NOT NULL,
    `brid` INTEGER NOT NULL, -- buildrequests.id
    `start_time` INTEGER NOT NULL,
    `finish_time` INTEGER
);
CREATE INDEX `builds_number` ON `builds` (`number`);
CREATE INDEX `builds_brid` ON `builds` (`brid`);
CREATE INDEX `builds_start_time` ON `builds` (`start_time`);
CREATE INDEX `builds_finish_time` ON `builds` (`finish_time`);

-- What was asked for: a source, a reason, and one request per builder.
CREATE TABLE `buildsets` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `external_idstring` VARCHAR(256),
    `reason` VARCHAR(256),
    `sourcestampid` INTEGER NOT NULL,
    `submitted_at` INTEGER NOT NULL,
    `complete` SMALLINT NOT NULL DEFAULT 0,
    `complete_at` INTEGER,
    `results` SMALLINT
);
CREATE INDEX `buildsets_complete` ON `buildsets` (`complete`);
CREATE INDEX `buildsets_submitted_at` ON `buildsets` (`submitted_at`);
CREATE INDEX `buildsets_sourcestampid` ON `buildsets` (`sourcestampid`);

-- property_value is a JSON list of value and source.
CREATE TABLE `buildset_properties` (
    `buildsetid` INTEGER NOT NULL,
    `property_name` VARCHAR(256) NOT NULL,
    `property_value` VARCHAR(1024) NOT NULL
);
CREATE INDEX `buildset_properties_buildsetid` ON `buildset_properties` (`buildsetid`);

-- Branch and revision to build.
CREATE TABLE `sourcestamps` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `branch` VARCHAR(256),
    `revision` VARCHAR(256),
    `patchid` INTEGER,
    `repository` TEXT NOT NULL DEFAULT '',
    `project` TEXT NOT NULL DEFAULT ''
);
CREATE INDEX `branch_idx` ON `sourcestamps` (`branch`);
CREATE INDEX `revision_idx` ON `sourcestamps` (`revision`);

CREATE TABLE `sourcestamp_changes` (
    `sourcestampid` INTEGER NOT NULL,
    `changeid` INTEGER NOT NULL
);
CREATE INDEX `sourcestamp_changes_sourcestampid` ON `sourcestamp_changes` (`sourcestampid`);
CREATE INDEX `sourcestamp_changes_changeid` ON `sourcestamp_changes` (`changeid`);

-- What somebody pushed, as a change source or sendchange told it.
CREATE TABLE `changes` (
    `changeid` INTEGER PRIMARY KEY AUTOINCREMENT,
    `author` VARCHAR(1024) NOT NULL,
    `comments` VARCHAR(1024) NOT NULL,
    `is_dir` SMALLINT NOT NULL,
    `branch` VARCHAR(1024),
    `revision` VARCHAR(256),
    `revlink` VARCHAR(256),
    `when_timestamp` INTEGER NOT NULL,
    `category` VARCHAR(256),
    `repository` TEXT NOT NULL DEFAULT '',
    `project` TEXT NOT NULL DEFAULT ''
);
CREATE INDEX `changes_branch` ON `changes` (`branch`);
CREATE INDEX `changes_revision` ON `changes` (`revision`);
CREATE INDEX `changes_author` ON `changes` (`author`);
CREATE INDEX `changes_category` ON `changes` (`category`);
CREATE INDEX `changes_when_timestamp` ON `changes` (`when_timestamp`);

CREATE TABLE `change_files` (
    `changeid` INTEGER NOT NULL,
    `filename` VARCHAR(1024) NOT NULL
);
CREATE INDEX `change_files_changeid` ON `change_files` (`changeid`);

CREATE TABLE `change_links` (
    `changeid` INTEGER NOT NULL,
    `link` VARCHAR(1024) NOT NULL
);
CREATE INDEX `change_links_changeid` ON `change_links` (`changeid`);

CREATE TABLE `change_properties` (
    `changeid` INTEGER NOT NULL,
    `property_name` VARCHAR(256) NOT NULL,
    `property_value` VARCHAR(1024) NOT NULL
);
CREATE INDEX `change_properties_changeid` ON `change_properties` (`changeid`);

CREATE TABLE `patches` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `patchlevel` INTEGER NOT NULL,
    `patch_base64` TEXT NOT NULL,
    `subdir` TEXT
);

CREATE TABLE `schedulers` (
    `schedulerid` INTEGER PRIMARY KEY AUTOINCREMENT,
    `name` VARCHAR(100) NOT NULL,
    `class_name` VARCHAR(100) NOT NULL,
    `state` TEXT
);
CREATE UNIQUE INDEX `name_and_class` ON `schedulers` (`name`, `class_name`);

CREATE TABLE `scheduler_changes` (
    `schedulerid` INTEGER,
    `changeid` INTEGER,
    `important` SMALLINT
);
CREATE INDEX `scheduler_changes_schedulerid` ON `scheduler_changes` (`schedulerid`);
CREATE INDEX `scheduler_changes_changeid` ON `scheduler_changes` (`changeid`);

CREATE TABLE `scheduler_upstream_buildsets` (
    `buildsetid` INTEGER,
    `schedulerid` INTEGER,
    `active` SMALLINT
);
CREATE INDEX `scheduler_upstream_buildsets_buildsetid` ON `scheduler_upstream_buildsets` (`buildsetid`);
CREATE INDEX `scheduler_upstream_buildsets_schedulerid` ON `scheduler_upstream_buildsets` (`schedulerid`);
CREATE INDEX `scheduler_upstream_buildsets_active` ON `scheduler_upstream_buildsets` (`active`);

-- One row: 6.
CREATE TABLE `version` (
    `version` INTEGER NOT NULL
);
