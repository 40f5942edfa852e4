-- Upgrade of an old jobs database, MySQL and MariaDB: run once by an administrator.
-- Old web processes go on working with the wider columns.

-- VARCHAR(20) cut the names of four actions; TEXT ends at 64 kB; who may hold any character.
ALTER TABLE jobrequests
    CONVERT TO CHARACTER SET utf8mb4,
    MODIFY action VARCHAR(40) NOT NULL,
    MODIFY who VARCHAR(512) NOT NULL,
    MODIFY `when` BIGINT NOT NULL,
    MODIFY completed_at BIGINT,
    MODIFY what LONGTEXT NOT NULL,
    MODIFY complete_data LONGTEXT,
    ADD KEY jobrequests_completed_at (completed_at);
