-- Events for user objects at the edge, kept until the Worker acknowledges them. An event outlives its user: the end of an
-- account is one.
CREATE TABLE user_events (
    id       uuid    NOT NULL PRIMARY KEY,
    user_id  uuid    NOT NULL,
    at       bigint  NOT NULL,
    event    text    COLLATE "C" NOT NULL,
    due_at   bigint  NOT NULL,
    attempts bigint  NOT NULL DEFAULT 0
);

CREATE INDEX user_events_by_due ON user_events (due_at, id);
