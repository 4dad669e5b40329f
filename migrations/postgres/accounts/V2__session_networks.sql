-- The network somebody signed in from (203.0.113.0/24 or 2001:db8:1::/48): a sign-in from there is one of a device that is
-- known. NULL for sessions of before, and where the address was unknown.
ALTER TABLE sessions ADD COLUMN network text COLLATE "C";
