-- Events for user objects at the edge, kept until the Worker acknowledges them. An event outlives its user: the end of an
-- account is one.
CREATE TABLE user_events (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id  BLOB    NOT NULL CHECK (length(user_id) = 16),
    at       INTEGER NOT NULL,
    event    TEXT    NOT NULL,
    due_at   INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX user_events_by_due ON user_events (due_at, id);
