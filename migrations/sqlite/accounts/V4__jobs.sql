-- Due work. A job runs while it has a lease; one whose lease has run out may be claimed by another owner. lease_owner stays
-- when the run has ended (lease_until is NULL then), so that ending it again is no other answer.
CREATE TABLE jobs (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind        TEXT    NOT NULL,
    key         TEXT,
    payload     TEXT    NOT NULL,
    due_at      INTEGER NOT NULL,
    lease_owner BLOB,
    lease_until INTEGER,
    attempts    INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT,
    finished_at INTEGER,
    UNIQUE (kind, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_by_due ON jobs (due_at) WHERE finished_at IS NULL;
CREATE INDEX jobs_by_finish ON jobs (finished_at) WHERE finished_at IS NOT NULL;
