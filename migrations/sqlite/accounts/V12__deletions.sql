-- Deletion of an account: when its user asked for it, when it is due, and when it began. Signing in before it begins sets the first two
-- back to NULL; from then on nothing does, and the row goes last.
ALTER TABLE users ADD COLUMN deletion_requested_at INTEGER;
ALTER TABLE users ADD COLUMN deletes_at INTEGER;
ALTER TABLE users ADD COLUMN deletion_began_at INTEGER;
