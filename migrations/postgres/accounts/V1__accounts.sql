-- Users, credentials, sessions and usage. Times are milliseconds since 1970 in UTC, so that they are exact and compare
-- as the other adapter's do; days are YYYY-MM-DD in UTC. Text has collation "C": it is compared and sorted by its bytes,
-- whatever the database's own collation is, and lower() knows ASCII letters alone.

CREATE TABLE users (
    id             uuid    NOT NULL PRIMARY KEY,
    email          text    COLLATE "C" UNIQUE CHECK (email = lower(email)),
    email_verified boolean NOT NULL DEFAULT false,
    phone          text    COLLATE "C" UNIQUE,
    phone_verified boolean NOT NULL DEFAULT false,
    display_name   text,
    avatar_url     text,
    locale         text,
    timezone       text,
    plan           text    NOT NULL,
    created_at     bigint  NOT NULL
);

CREATE TABLE credentials (
    user_id       uuid   NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    password_hash text   NOT NULL,
    changed_at    bigint NOT NULL
);

-- The room left in its pages lets last_used_at be updated without touching an index.
CREATE TABLE sessions (
    id           uuid   NOT NULL PRIMARY KEY,
    user_id      uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_name  text,
    created_at   bigint NOT NULL,
    last_used_at bigint NOT NULL,
    expires_at   bigint NOT NULL,
    ended_at     bigint
) WITH (fillfactor = 85);

CREATE INDEX sessions_by_user ON sessions (user_id, created_at);
-- When a session was over: what is long past is forgotten in this order.
CREATE INDEX sessions_by_end ON sessions (least(expires_at, ended_at));

-- A session's refresh tokens, as SHA-256: a chain in which each used one names its successor. Who writes here holds the
-- session's row.
CREATE TABLE refresh_tokens (
    hash       bytea  NOT NULL PRIMARY KEY CHECK (octet_length(hash) = 32),
    session_id uuid   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at bigint NOT NULL,
    used_at    bigint,
    successor  bytea  CHECK ((successor IS NULL) = (used_at IS NULL))
) WITH (fillfactor = 85);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

-- One row a turn, so that a turn is counted once however often it is delivered.
CREATE TABLE usage_turns (
    turn_id          uuid    NOT NULL PRIMARY KEY,
    user_id          uuid    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    at               bigint  NOT NULL,
    model            text    COLLATE "C" NOT NULL,
    input_tokens     bigint  NOT NULL,
    output_tokens    bigint  NOT NULL,
    cached_tokens    bigint  NOT NULL,
    reasoning_tokens bigint  NOT NULL,
    total_tokens     bigint  NOT NULL,
    failed           boolean NOT NULL
);

CREATE INDEX usage_turns_by_user ON usage_turns (user_id, at);

-- The sums of usage_turns by day and model, kept in the same statement.
CREATE TABLE usage_days (
    user_id          uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    day              text   COLLATE "C" NOT NULL CHECK (day ~ '^\d{4}-\d{2}-\d{2}$'),
    model            text   COLLATE "C" NOT NULL,
    requests         bigint NOT NULL,
    messages         bigint NOT NULL,
    input_tokens     bigint NOT NULL,
    output_tokens    bigint NOT NULL,
    cached_tokens    bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    errors           bigint NOT NULL,
    PRIMARY KEY (user_id, day, model)
) WITH (fillfactor = 85);
