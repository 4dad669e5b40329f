-- The keys of access tokens that follow one another. A private half is derived from JWT_SECRET and the salt, so nobody learns one
-- from here. Key number n signs from its time on until number n + 1 does; the salt of one that signs no more is gone.
CREATE TABLE token_keys (
    number       INTEGER NOT NULL PRIMARY KEY CHECK (number > 0),
    public_key   BLOB    NOT NULL CHECK (length(public_key) = 32),
    salt         BLOB    CHECK (length(salt) = 32),
    published_at INTEGER NOT NULL,
    signs_from   INTEGER NOT NULL
) STRICT;
