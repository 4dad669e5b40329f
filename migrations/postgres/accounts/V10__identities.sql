-- Accounts at other providers by which users sign in. The refresh token of one is sealed for its user, with the client that it was
-- issued to.
CREATE TABLE identities (
    provider     text   COLLATE "C" NOT NULL,
    subject      text   COLLATE "C" NOT NULL,
    user_id      uuid   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email        text   COLLATE "C",
    created_at   bigint NOT NULL,
    client_id    text   COLLATE "C",
    sealed_token bytea  CHECK ((sealed_token IS NULL) = (client_id IS NULL)),
    PRIMARY KEY (provider, subject)
);

CREATE INDEX identities_by_user ON identities (user_id);

-- Guests are users whom nothing but their session identifies, and who may have been merged into another user since.
ALTER TABLE users ADD COLUMN guest boolean NOT NULL DEFAULT false, ADD COLUMN merged_into uuid;
