-- Columns of sessions for their users: the kind of program, and the address that a session was used from last. NULL for sessions of
-- before, and where it was unknown. The address is personal data: it goes with the session.
ALTER TABLE sessions ADD COLUMN platform text COLLATE "C", ADD COLUMN ip text COLLATE "C";

-- The audit trail of an account. It goes with the account, and each event after a year.
CREATE TABLE audit_events (
    id          uuid   NOT NULL PRIMARY KEY,
    user_id     uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    at          bigint NOT NULL,
    kind        text   COLLATE "C" NOT NULL,
    session_id  uuid,
    ip          text   COLLATE "C",
    device_name text,
    request_id  text   COLLATE "C"
);

CREATE INDEX audit_events_by_user ON audit_events (user_id, at, id);
CREATE INDEX audit_events_by_time ON audit_events (at);

-- The versions of documents that users have agreed to, each with the first time.
CREATE TABLE consents (
    user_id     uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    document    text   COLLATE "C" NOT NULL,
    version     text   COLLATE "C" NOT NULL,
    accepted_at bigint NOT NULL,
    PRIMARY KEY (user_id, document, version)
);
