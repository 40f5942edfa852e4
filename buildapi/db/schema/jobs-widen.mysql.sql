-- Upgrade of an old jobs database, MySQL and MariaDB: run once by an administrator.
-- Old web processes go on working with the wider columns.

-- VARCHAR(20) cut the names of four actions; TEXT ends at 64 kB; who may hold any character.
-- One statement: a change of type copies the table, and writes wait meanwhile [MySQL, "Online DDL
-- Operations"]. BIGINT, since INTEGER ends in 2038.
ALTER TABLE jobrequests
    CONVERT TO CHARACTER SET utf8mb4,
    MODIFY action VARCHAR(40) NOT NULL,
    MODIFY who VARCHAR(512) NOT NULL,
    MODIFY `when` BIGINT NOT NULL,
    MODIFY completed_at BIGINT,
    MODIFY what LONGTEXT NOT NULL,
    MODIFY complete_data LONGTEXT,
    ADD KEY jobrequests_completed_at (completed_at);
