-- Conversations, messages and turns. Ids are the sixteen bytes of a UUIDv7; times are milliseconds since 1970 in UTC.

CREATE TABLE conversations (
    id                   BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id              BLOB    NOT NULL CHECK (length(user_id) = 16),
    title                TEXT,
    model                TEXT,
    system               TEXT,
    pinned               INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    archived             INTEGER NOT NULL CHECK (archived IN (0, 1)),
    message_count        INTEGER NOT NULL,
    last_message_preview TEXT,
    last_message_at      INTEGER,
    -- The later of created_at and last_message_at: the order of the list.
    activity_at          INTEGER NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL
) STRICT;

CREATE INDEX conversations_by_activity ON conversations (user_id, activity_at, id);
CREATE INDEX conversations_by_archived ON conversations (user_id, archived, activity_at, id);

CREATE TABLE messages (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    conversation_id  BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn_id          BLOB    NOT NULL,
    parent_id        BLOB,
    seq              INTEGER NOT NULL CHECK (seq >= 1),
    role             TEXT    NOT NULL,
    content          TEXT    NOT NULL,
    -- JSON; NULL when the message is one text part and that is content.
    parts            TEXT,
    status           TEXT    NOT NULL,
    finish_reason    TEXT,
    model            TEXT,
    -- All five or none.
    input_tokens     INTEGER,
    output_tokens    INTEGER,
    cached_tokens    INTEGER,
    reasoning_tokens INTEGER,
    total_tokens     INTEGER,
    -- JSON; NULL when there are none.
    tool_calls       TEXT,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    UNIQUE (conversation_id, seq)
) STRICT;

CREATE TABLE turns (
    id                   BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    conversation_id      BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_message_id      BLOB    NOT NULL,
    assistant_message_id BLOB    NOT NULL,
    last_event_id        INTEGER NOT NULL,
    error_code           TEXT,
    error_detail         TEXT,
    created_at           INTEGER NOT NULL,
    finished_at          INTEGER NOT NULL
) STRICT;

CREATE INDEX turns_by_conversation ON turns (conversation_id);
