-- Columns of sessions for their users: the kind of program, and the address that a session was used from last. NULL for sessions of
-- before, and where it was unknown. The address is personal data: it goes with the session.
ALTER TABLE sessions ADD COLUMN platform TEXT;
ALTER TABLE sessions ADD COLUMN ip TEXT;

-- The audit trail of an account. It goes with the account, and each event after a year.
CREATE TABLE audit_events (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id     BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    at          INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    session_id  BLOB,
    ip          TEXT,
    device_name TEXT,
    request_id  TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_events_by_user ON audit_events (user_id, at, id);
CREATE INDEX audit_events_by_time ON audit_events (at);

-- The versions of documents that users have agreed to, each with the first time.
CREATE TABLE consents (
    user_id     BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    document    TEXT    NOT NULL,
    version     TEXT    NOT NULL,
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, document, version)
) STRICT, WITHOUT ROWID;
