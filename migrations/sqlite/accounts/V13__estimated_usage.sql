-- Tokens that the provider did not count are estimated, and marked so; of a day, the number of such turns.
ALTER TABLE usage_turns ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0 CHECK (estimated IN (0, 1));
ALTER TABLE usage_days ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;
