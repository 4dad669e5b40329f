-- Due work. A job runs while it has a lease; one whose lease has run out may be claimed by another owner. lease_owner stays
-- when the run has ended (lease_until is NULL then), so that ending it again is no other answer.
CREATE TABLE jobs (
    id          uuid   NOT NULL PRIMARY KEY,
    kind        text   COLLATE "C" NOT NULL,
    key         text   COLLATE "C",
    payload     text   NOT NULL,
    due_at      bigint NOT NULL,
    lease_owner uuid,
    lease_until bigint,
    attempts    bigint NOT NULL DEFAULT 0,
    last_error  text,
    finished_at bigint,
    UNIQUE (kind, key)
) WITH (fillfactor = 85);

CREATE INDEX jobs_by_due ON jobs (due_at, id) WHERE finished_at IS NULL;
CREATE INDEX jobs_by_finish ON jobs (finished_at) WHERE finished_at IS NOT NULL;
