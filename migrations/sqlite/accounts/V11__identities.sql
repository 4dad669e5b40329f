-- Accounts at other providers by which users sign in. The refresh token of one is sealed for its user, with the client that it was
-- issued to.
CREATE TABLE identities (
    provider     TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    user_id      BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email        TEXT,
    created_at   INTEGER NOT NULL,
    client_id    TEXT,
    sealed_token BLOB    CHECK ((sealed_token IS NULL) = (client_id IS NULL)),
    PRIMARY KEY (provider, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX identities_by_user ON identities (user_id);

-- Guests are users whom nothing but their session identifies, and who may have been merged into another user since.
ALTER TABLE users ADD COLUMN guest INTEGER NOT NULL DEFAULT 0 CHECK (guest IN (0, 1));
ALTER TABLE users ADD COLUMN merged_into BLOB;
