-- When a session was over: what is long past is forgotten in this order.
CREATE INDEX sessions_by_end ON sessions (min(expires_at, coalesce(ended_at, expires_at)));
