-- Passkeys of users. The credential is the public key with what its registration said, as the WebAuthn library writes it; what changes
-- with each use is in columns of its own.
CREATE TABLE passkeys (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id       BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id BLOB    NOT NULL UNIQUE,
    credential    TEXT    NOT NULL,
    sign_count    INTEGER NOT NULL,
    backed_up     INTEGER NOT NULL CHECK (backed_up IN (0, 1)),
    name          TEXT,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX passkeys_by_user ON passkeys (user_id, created_at, id);
