-- The time at which an operator suspended a user; NULL for all others.
ALTER TABLE users ADD COLUMN suspended_at INTEGER;
