-- Users, credentials, sessions and usage. Ids are the sixteen bytes of a UUIDv7; times are milliseconds since 1970 in
-- UTC; days are YYYY-MM-DD in UTC.

CREATE TABLE users (
    id             BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email          TEXT    UNIQUE CHECK (email = lower(email)),
    email_verified INTEGER NOT NULL DEFAULT 0 CHECK (email_verified IN (0, 1)),
    phone          TEXT    UNIQUE,
    phone_verified INTEGER NOT NULL DEFAULT 0 CHECK (phone_verified IN (0, 1)),
    display_name   TEXT,
    avatar_url     TEXT,
    locale         TEXT,
    timezone       TEXT,
    plan           TEXT    NOT NULL,
    created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
    user_id       BLOB    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    password_hash TEXT    NOT NULL,
    changed_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id      BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_name  TEXT,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user_id, created_at);

-- A session's refresh tokens, as SHA-256: a chain in which each used one names its successor.
CREATE TABLE refresh_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    session_id BLOB    NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    successor  BLOB    CHECK ((successor IS NULL) = (used_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

-- One row a turn, so that a turn is counted once however often it is delivered.
CREATE TABLE usage_turns (
    turn_id          BLOB    NOT NULL PRIMARY KEY CHECK (length(turn_id) = 16),
    user_id          BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    at               INTEGER NOT NULL,
    model            TEXT    NOT NULL,
    input_tokens     INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    total_tokens     INTEGER NOT NULL,
    failed           INTEGER NOT NULL CHECK (failed IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_turns_by_user ON usage_turns (user_id, at);

-- The sums of usage_turns by day and model, kept in the same transaction.
CREATE TABLE usage_days (
    user_id          BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    day              TEXT    NOT NULL,
    model            TEXT    NOT NULL,
    requests         INTEGER NOT NULL,
    messages         INTEGER NOT NULL,
    input_tokens     INTEGER NOT NULL,
    output_tokens    INTEGER NOT NULL,
    cached_tokens    INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    errors           INTEGER NOT NULL,
    PRIMARY KEY (user_id, day, model)
) STRICT, WITHOUT ROWID;
