-- Scheduler database of Buildbot 0.8.0 to 0.8.4 (schema version 6), with the indexes the farm's own
-- MySQL database has. Times are seconds since the epoch.
-- No engine is named: the server's default is used.

-- One builder asked for one buildset. Pending: claimed_at = 0 and complete = 0.
CREATE TABLE `buildrequests` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `buildsetid` INT NOT NULL,
    `buildername` VARCHAR(256) NOT NULL,
    `priority` INT NOT NULL DEFAULT 0,
    `claimed_at` INT DEFAULT 0, -- refreshed by the master as a heartbeat
    `claimed_by_name` VARCHAR(256), -- host:/base directory of the master
    `claimed_by_incarnation` VARCHAR(256), -- process and start time of the master
    `complete` INT DEFAULT 0,
    `results` SMALLINT, -- 0 success, 1 warnings, 2 failure, 3 skipped, 4 exception, 5 retry
    `submitted_at` INT NOT NULL,
    `complete_at` INT,
    KEY `buildrequests_buildsetid` (`buildsetid`),
    KEY `buildrequests_buildername` (`buildername`(255)),
    KEY `buildrequests_complete` (`complete`),
    KEY `buildrequests_claimed_at` (`claimed_at`),
    KEY `buildrequests_claimed_by_name` (`claimed_by_name`(255))
) DEFAULT CHARSET = utf8;

-- One try at a request. number counts per master and builder.
CREATE TABLE `builds` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `number` INT NOT NULL,
    `brid` INT NOT NULL, -- buildrequests.id
    `start_time` INT NOT NULL,
    `finish_time` INT,
    KEY `builds_number` (`number`),
    KEY `builds_brid` (`brid`),
    KEY `builds_start_time` (`start_time`),
    KEY `builds_finish_time` (`finish_time`)
) DEFAULT CHARSET = utf8;

-- What was asked for: a source, a reason, and one request per builder.
CREATE TABLE `buildsets` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `external_idstring` VARCHAR(256),
    `reason` VARCHAR(256),
    `sourcestampid` INT NOT NULL,
    `submitted_at` INT NOT NULL,
    `complete` SMALLINT NOT NULL DEFAULT 0,
    `complete_at` INT,
    `results` SMALLINT,
    KEY `buildsets_complete` (`complete`),
    KEY `buildsets_submitted_at` (`submitted_at`),
    KEY `buildsets_sourcestampid` (`sourcestampid`)
) DEFAULT CHARSET = utf8;

-- property_value is a JSON list of value and source.
CREATE TABLE `buildset_properties` (
    `buildsetid` INT NOT NULL,
    `property_name` VARCHAR(256) NOT NULL,
    `property_value` VARCHAR(1024) NOT NULL,
    KEY `buildset_properties_buildsetid` (`buildsetid`)
) DEFAULT CHARSET = utf8;

-- Branch and revision to build.
CREATE TABLE `sourcestamps` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `branch` VARCHAR(256),
    `revision` VARCHAR(256),
    `patchid` INT,
    `repository` TEXT NOT NULL DEFAULT (''),
    `project` TEXT NOT NULL DEFAULT (''),
    KEY `branch_idx` (`branch`(255)),
    KEY `revision_idx` (`revision`(255))
) DEFAULT CHARSET = utf8;

CREATE TABLE `sourcestamp_changes` (
    `sourcestampid` INT NOT NULL,
    `changeid` INT NOT NULL,
    KEY `sourcestamp_changes_sourcestampid` (`sourcestampid`),
    KEY `sourcestamp_changes_changeid` (`changeid`)
) DEFAULT CHARSET = utf8;

-- What somebody pushed, as a change source or sendchange told it.
CREATE TABLE `changes` (
    `changeid` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `author` VARCHAR(1024) NOT NULL,
    `comments` VARCHAR(1024) NOT NULL,
    `is_dir` SMALLINT NOT NULL,
    `branch` VARCHAR(1024),
    `revision` VARCHAR(256),
    `revlink` VARCHAR(256),
    `when_timestamp` INT NOT NULL,
    `category` VARCHAR(256),
    `repository` TEXT NOT NULL DEFAULT (''),
    `project` TEXT NOT NULL DEFAULT (''),
    KEY `changes_branch` (`branch`(255)),
    KEY `changes_revision` (`revision`(255)),
    KEY `changes_author` (`author`(255)),
    KEY `changes_category` (`category`(255)),
    KEY `changes_when_timestamp` (`when_timestamp`)
) DEFAULT CHARSET = utf8;

CREATE TABLE `change_files` (
    `changeid` INT NOT NULL,
    `filename` VARCHAR(1024) NOT NULL,
    KEY `change_files_changeid` (`changeid`)
) DEFAULT CHARSET = utf8;

CREATE TABLE `change_links` (
    `changeid` INT NOT NULL,
    `link` VARCHAR(1024) NOT NULL,
    KEY `change_links_changeid` (`changeid`)
) DEFAULT CHARSET = utf8;

CREATE TABLE `change_properties` (
    `changeid` INT NOT NULL,
    `property_name` VARCHAR(256) NOT NULL,
    `property_value` VARCHAR(1024) NOT NULL
) DEFAULT CHARSET = utf8;

CREATE TABLE `patches` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `patchlevel` INT NOT NULL,
    `patch_base64` TEXT NOT NULL,
    `subdir` TEXT
) DEFAULT CHARSET = utf8;

CREATE TABLE `schedulers` (
    `schedulerid` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `name` VARCHAR(100) NOT NULL,
    `class_name` VARCHAR(100) NOT NULL,
    `state` TEXT,
    UNIQUE KEY `name_and_class` (`name`, `class_name`)
) DEFAULT CHARSET = utf8;

CREATE TABLE `scheduler_changes` (
    `schedulerid` INT,
    `changeid` INT,
    `important` SMALLINT,
    KEY `scheduler_changes_schedulerid` (`schedulerid`),
    KEY `scheduler_changes_changeid` (`changeid`)
) DEFAULT CHARSET = utf8;

CREATE TABLE `scheduler_upstream_buildsets` (
    `buildsetid` INT,
    `schedulerid` INT,
    `active` SMALLINT,
    KEY `scheduler_upstream_buildsets_buildsetid` (`buildsetid`),
    KEY `scheduler_upstream_buildsets_schedulerid` (`schedulerid`),
    KEY `scheduler_upstream_buildsets_active` (`active`)
) DEFAULT CHARSET = utf8;

-- One row: 6.
CREATE TABLE `version` (
    `version` INT NOT NULL
) DEFAULT CHARSET = utf8;
