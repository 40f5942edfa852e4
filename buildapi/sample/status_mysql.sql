-- Status database: what masters report about finished and running builds. Times are UTC.
-- No foreign keys are declared; ids are of this database unless a comment says otherwise.
-- No engine is named: the server's default is used.

-- Masters that report their builds.
CREATE TABLE `masters` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `url` VARCHAR(100),
    `name` VARCHAR(100),
    UNIQUE KEY `masters_url` (`url`)
) DEFAULT CHARSET = latin1;

-- Machines that build.
CREATE TABLE `slaves` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `name` VARCHAR(50) NOT NULL,
    KEY `slaves_name` (`name`)
) DEFAULT CHARSET = latin1;

-- Builders, one row for each master that has them.
CREATE TABLE `builders` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `name` VARCHAR(200) NOT NULL,
    `master_id` INT NOT NULL,
    `category` VARCHAR(30),
    UNIQUE KEY `builders_name_master` (`name`, `master_id`),
    KEY `builders_master_id` (`master_id`),
    KEY `builders_name` (`name`),
    KEY `builders_category` (`category`)
) DEFAULT CHARSET = latin1;

-- One run of a builder; times are UTC.
CREATE TABLE `builds` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `buildnumber` INT NOT NULL,
    `builder_id` INT NOT NULL,
    `slave_id` INT NOT NULL,
    `master_id` INT NOT NULL,
    `starttime` DATETIME,
    `endtime` DATETIME,
    `result` INT,
    `reason` VARCHAR(500),
    `source_id` INT, -- sourcestamps.id of this database
    `lost` TINYINT NOT NULL,
    KEY `builds_source_id` (`source_id`),
    KEY `builds_master_id` (`master_id`),
    KEY `builds_slave_id` (`slave_id`),
    KEY `builds_buildnumber` (`buildnumber`),
    KEY `builds_builder_id` (`builder_id`),
    KEY `builds_result` (`result`),
    KEY `builds_starttime` (`starttime`),
    KEY `builds_endtime` (`endtime`)
) DEFAULT CHARSET = latin1;

-- Steps of a build; description is a JSON list.
CREATE TABLE `steps` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `name` VARCHAR(256) NOT NULL,
    `description` TEXT,
    `build_id` INT NOT NULL,
    `order` INT NOT NULL,
    `starttime` DATETIME,
    `endtime` DATETIME,
    `status` INT,
    KEY `steps_build_id` (`build_id`),
    KEY `steps_status` (`status`),
    KEY `steps_name` (`name`(255))
) DEFAULT CHARSET = latin1;

-- Each combination once; value is JSON.
CREATE TABLE `properties` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `name` VARCHAR(40),
    `source` VARCHAR(40),
    `value` TEXT,
    KEY `properties_source` (`source`),
    KEY `properties_name` (`name`),
    KEY `properties_name_value` (`name`, `value`(250))
) DEFAULT CHARSET = latin1;

CREATE TABLE `build_properties` (
    `property_id` INT NOT NULL,
    `build_id` INT NOT NULL,
    KEY `build_properties_build_id` (`build_id`),
    KEY `build_properties_property_id` (`property_id`)
) DEFAULT CHARSET = latin1;

CREATE TABLE `request_properties` (
    `property_id` INT NOT NULL,
    `request_id` INT NOT NULL,
    KEY `request_properties_request_id` (`request_id`),
    KEY `request_properties_property_id` (`property_id`)
) DEFAULT CHARSET = latin1;

-- Requests as masters see them; ids are of this database.
CREATE TABLE `requests` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `submittime` DATETIME,
    `builder_id` INT,
    `startcount` INT NOT NULL,
    `source_id` INT,
    `lost` TINYINT NOT NULL,
    `cancelled` TINYINT NOT NULL,
    KEY `requests_source_id` (`source_id`),
    KEY `requests_builder_id` (`builder_id`),
    KEY `requests_submittime` (`submittime`),
    KEY `requests_cancelled` (`cancelled`),
    KEY `requests_lost` (`lost`),
    KEY `requests_startcount` (`startcount`)
) DEFAULT CHARSET = latin1;

CREATE TABLE `build_requests` (
    `build_id` INT NOT NULL,
    `request_id` INT NOT NULL,
    KEY `build_requests_request_id` (`request_id`),
    KEY `build_requests_build_id` (`build_id`)
) DEFAULT CHARSET = latin1;

CREATE TABLE `sourcestamps` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `branch` VARCHAR(50),
    `revision` VARCHAR(50),
    `patch_id` INT,
    KEY `sourcestamps_patch_id` (`patch_id`),
    KEY `sourcestamps_revision` (`revision`)
) DEFAULT CHARSET = latin1;

CREATE TABLE `source_changes` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `source_id` INT NOT NULL,
    `change_id` INT NOT NULL,
    `order` INT NOT NULL,
    KEY `source_changes_source_id` (`source_id`),
    KEY `source_changes_change_id` (`change_id`)
) DEFAULT CHARSET = latin1;

CREATE TABLE `changes` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `number` INT NOT NULL,
    `branch` VARCHAR(50),
    `revision` VARCHAR(50),
    `who` VARCHAR(200),
    `comments` TEXT,
    `when` DATETIME,
    KEY `changes_who` (`who`)
) DEFAULT CHARSET = latin1;

CREATE TABLE `files` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `path` VARCHAR(400) NOT NULL,
    KEY `files_path` (`path`(255))
) DEFAULT CHARSET = latin1;

CREATE TABLE `file_changes` (
    `file_id` INT NOT NULL,
    `change_id` INT NOT NULL,
    KEY `file_changes_change_id` (`change_id`),
    KEY `file_changes_file_id` (`file_id`)
) DEFAULT CHARSET = latin1;

CREATE TABLE `patches` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `patch` TEXT,
    `patchlevel` INT
) DEFAULT CHARSET = latin1;

CREATE TABLE `builder_slaves` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `builder_id` INT NOT NULL,
    `slave_id` INT NOT NULL,
    `added` DATETIME NOT NULL,
    `removed` DATETIME,
    KEY `builder_slaves_removed` (`removed`),
    KEY `builder_slaves_slave_id` (`slave_id`),
    KEY `builder_slaves_added` (`added`),
    KEY `builder_slaves_builder_id` (`builder_id`)
) DEFAULT CHARSET = latin1;

CREATE TABLE `master_slaves` (
    `id` INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `slave_id` INT NOT NULL,
    `master_id` INT NOT NULL,
    `connected` DATETIME NOT NULL,
    `disconnected` DATETIME,
    KEY `master_slaves_master_id` (`master_id`),
    KEY `master_slaves_slave_id` (`slave_id`),
    KEY `master_slaves_disconnected` (`disconnected`),
    KEY `master_slaves_connected` (`connected`)
) DEFAULT CHARSET = latin1;

-- Ties a build here to a request and a row of builds in the scheduler database.
CREATE TABLE `schedulerdb_requests` (
    `status_build_id` INT NOT NULL,
    `scheduler_request_id` INT NOT NULL,
    `scheduler_build_id` INT NOT NULL,
    KEY `schedulerdb_requests_status_build_id` (`status_build_id`),
    KEY `schedulerdb_requests_scheduler_request_id` (`scheduler_request_id`),
    KEY `schedulerdb_requests_scheduler_build_id` (`scheduler_build_id`)
) DEFAULT CHARSET = latin1;
