-- Tokens that the provider did not count are estimated, and marked so; of a day, the number of such turns.
ALTER TABLE usage_turns ADD COLUMN estimated boolean NOT NULL DEFAULT false;
ALTER TABLE usage_days ADD COLUMN estimated bigint NOT NULL DEFAULT 0;
