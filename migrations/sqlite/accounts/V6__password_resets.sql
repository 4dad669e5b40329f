-- Permissions to set a new password without the current one, each by a token of which its SHA-256 is stored. It was sent to the
-- e-mail address or the phone number that stands beside it.
CREATE TABLE password_resets (
    token_hash BLOB    NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email      TEXT,
    phone      TEXT    CHECK ((phone IS NULL) <> (email IS NULL)),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX password_resets_by_user ON password_resets (user_id);
CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);
