-- Status database: what masters report about finished and running builds. Times are UTC.
-- No foreign keys are declared; ids are of this database unless a comment says otherwise.

-- Masters that report their builds.
CREATE TABLE `masters` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `url` VARCHAR(100),
    `name` VARCHAR(100)
);
CREATE UNIQUE INDEX `masters_url` ON `masters` (`url`);

-- Machines that build.
CREATE TABLE `slaves` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `name` VARCHAR(50) NOT NULL
);
CREATE INDEX `slaves_name` ON `slaves` (`name`);

-- Builders, one row for each master that has them.
CREATE TABLE `builders` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `name` VARCHAR(200) NOT NULL,
    `master_id` INTEGER NOT NULL,
    `category` VARCHAR(30)
);
CREATE UNIQUE INDEX `builders_name_master` ON `builders` (`name`, `master_id`);
CREATE INDEX `builders_master_id` ON `builders` (`master_id`);
CREATE INDEX `builders_name` ON `builders` (`name`);
CREATE INDEX `builders_category` ON `builders` (`category`);

-- One run of a builder; times are UTC.
CREATE TABLE `builds` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `buildnumber` INTEGER NOT NULL,
    `builder_id` INTEGER NOT NULL,
    `slave_id` INTEGER NOT NULL,
    `master_id` INTEGER NOT NULL,
    `starttime` DATETIME,
    `endtime` DATETIME,
    `result` INTEGER,
    `reason` VARCHAR(500),
    `source_id` INTEGER, -- sourcestamps.id of this database
    `lost` SMALLINT NOT NULL
);
CREATE INDEX `builds_source_id` ON `builds` (`source_id`);
CREATE INDEX `builds_master_id` ON `builds` (`master_id`);
CREATE INDEX `builds_slave_id` ON `builds` (`slave_id`);
CREATE INDEX `builds_buildnumber` ON `builds` (`buildnumber`);
CREATE INDEX `builds_builder_id` ON `builds` (`builder_id`);
CREATE INDEX `builds_result` ON `builds` (`result`);
CREATE INDEX `builds_starttime` ON `builds` (`starttime`);
CREATE INDEX `builds_endtime` ON `builds` (`endtime`);

-- Steps of a build; description is a JSON list.
CREATE TABLE `steps` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `name` VARCHAR(256) NOT NULL,
    `description` TEXT,
    `build_id` INTEGER NOT NULL,
    `order` INTEGER NOT NULL,
    `starttime` DATETIME,
    `endtime` DATETIME,
    `status` INTEGER
);
CREATE INDEX `steps_build_id` ON `steps` (`build_id`);
CREATE INDEX `steps_status` ON `steps` (`status`);
CREATE INDEX `steps_name` ON `steps` (`name`);

-- Each combination once; value is JSON.
CREATE TABLE `properties` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `name` VARCHAR(40),
    `source` VARCHAR(40),
    `value` TEXT
);
CREATE INDEX `properties_source` ON `properties` (`source`);
CREATE INDEX `properties_name` ON `properties` (`name`);
CREATE INDEX `properties_name_value` ON `properties` (`name`, `value`);

CREATE TABLE `build_properties` (
    `property_id` INTEGER NOT NULL,
    `build_id` INTEGER NOT NULL
);
CREATE INDEX `build_properties_build_id` ON `build_properties` (`build_id`);
CREATE INDEX `build_properties_property_id` ON `build_properties` (`property_id`);

CREATE TABLE `request_properties` (
    `property_id` INTEGER NOT NULL,
    `request_id` INTEGER NOT NULL
);
CREATE INDEX `request_properties_request_id` ON `request_properties` (`request_id`);
CREATE INDEX `request_properties_property_id` ON `request_properties` (`property_id`);

-- Requests as masters see them; ids are of this database.
CREATE TABLE `requests` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `submittime` DATETIME,
    `builder_id` INTEGER,
    `startcount` INTEGER NOT NULL,
    `source_id` INTEGER,
    `lost` SMALLINT NOT NULL,
    `cancelled` SMALLINT NOT NULL
);
CREATE INDEX `requests_source_id` ON `requests` (`source_id`);
CREATE INDEX `requests_builder_id` ON `requests` (`builder_id`);
CREATE INDEX `requests_submittime` ON `requests` (`submittime`);
CREATE INDEX `requests_cancelled` ON `requests` (`cancelled`);
CREATE INDEX `requests_lost` ON `requests` (`lost`);
CREATE INDEX `requests_startcount` ON `requests` (`startcount`);

CREATE TABLE `build_requests` (
    `build_id` INTEGER NOT NULL,
    `request_id` INTEGER NOT NULL
);
CREATE INDEX `build_requests_request_id` ON `build_requests` (`request_id`);
CREATE INDEX `build_requests_build_id` ON `build_requests` (`build_id`);

CREATE TABLE `sourcestamps` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `branch` VARCHAR(50),
    `revision` VARCHAR(50),
    `patch_id` INTEGER
);
CREATE INDEX `sourcestamps_patch_id` ON `sourcestamps` (`patch_id`);
CREATE INDEX `sourcestamps_revision` ON `sourcestamps` (`revision`);

CREATE TABLE `source_changes` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `source_id` INTEGER NOT NULL,
    `change_id` INTEGER NOT NULL,
    `order` INTEGER NOT NULL
);
CREATE INDEX `source_changes_source_id` ON `source_changes` (`source_id`);
CREATE INDEX `source_changes_change_id` ON `source_changes` (`change_id`);

CREATE TABLE `changes` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `number` INTEGER NOT NULL,
    `branch` VARCHAR(50),
    `revision` VARCHAR(50),
    `who` VARCHAR(200),
    `comments` TEXT,
    `when` DATETIME
);
CREATE INDEX `changes_who` ON `changes` (`who`);

CREATE TABLE `files` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `path` VARCHAR(400) NOT NULL
);
CREATE INDEX `files_path` ON `files` (`path`);

CREATE TABLE `file_changes` (
    `file_id` INTEGER NOT NULL,
    `change_id` INTEGER NOT NULL
);
CREATE INDEX `file_changes_change_id` ON `file_changes` (`change_id`);
CREATE INDEX `file_changes_file_id` ON `file_changes` (`file_id`);

CREATE TABLE `patches` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `patch` TEXT,
    `patchlevel` INTEGER
);

CREATE TABLE `builder_slaves` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `builder_id` INTEGER NOT NULL,
    `slave_id` INTEGER NOT NULL,
    `added` DATETIME NOT NULL,
    `removed` DATETIME
);
CREATE INDEX `builder_slaves_removed` ON `builder_slaves` (`removed`);
CREATE INDEX `builder_slaves_slave_id` ON `builder_slaves` (`slave_id`);
CREATE INDEX `builder_slaves_added` ON `builder_slaves` (`added`);
CREATE INDEX `builder_slaves_builder_id` ON `builder_slaves` (`builder_id`);

CREATE TABLE `master_slaves` (
    `id` INTEGER PRIMARY KEY AUTOINCREMENT,
    `slave_id` INTEGER NOT NULL,
    `master_id` INTEGER NOT NULL,
    `connected` DATETIME NOT NULL,
    `disconnected` DATETIME
);
CREATE INDEX `master_slaves_master_id` ON `master_slaves` (`master_id`);
CREATE INDEX `master_slaves_slave_id` ON `master_slaves` (`slave_id`);
CREATE INDEX `master_slaves_disconnected` ON `master_slaves` (`disconnected`);
CREATE INDEX `master_slaves_connected` ON `master_slaves` (`connected`);

-- Ties a build here to a request and a row of builds in the scheduler database.
CREATE TABLE `schedulerdb_requests` (
    `status_build_id` INTEGER NOT NULL,
    `scheduler_request_id` INTEGER NOT NULL,
    `scheduler_build_id` INTEGER NOT NULL
);
CREATE INDEX `schedulerdb_requests_status_build_id` ON `schedulerdb_requests` (`status_build_id`);
CREATE INDEX `schedulerdb_requests_scheduler_request_id` ON `schedulerdb_requests` (`scheduler_request_id`);
CREATE INDEX `schedulerdb_requests_scheduler_build_id` ON `schedulerdb_requests` (`scheduler_build_id`);
