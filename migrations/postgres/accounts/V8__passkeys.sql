-- Passkeys of users. The credential is the public key with what its registration said, as the WebAuthn library writes it; what changes
-- with each use is in columns of its own.
CREATE TABLE passkeys (
    id            uuid    NOT NULL PRIMARY KEY,
    user_id       uuid    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id bytea   NOT NULL UNIQUE,
    credential    text    COLLATE "C" NOT NULL,
    sign_count    bigint  NOT NULL,
    backed_up     boolean NOT NULL,
    name          text,
    created_at    bigint  NOT NULL,
    last_used_at  bigint
);

CREATE INDEX passkeys_by_user ON passkeys (user_id, created_at, id);
