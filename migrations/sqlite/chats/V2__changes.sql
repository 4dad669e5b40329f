-- The order in which a user's conversations changed: one row a conversation, at the place of its last change. The row of
-- one that was deleted stays, and tells of it. The triggers see every write, so none can forget to tell.

CREATE TABLE changes (
    user_id         BLOB    NOT NULL CHECK (length(user_id) = 16),
    conversation_id BLOB    NOT NULL CHECK (length(conversation_id) = 16),
    -- From 1 on. A place that is given up is never given again, because a higher one is taken in the same step.
    position        INTEGER NOT NULL,
    PRIMARY KEY (user_id, conversation_id),
    UNIQUE (user_id, position)
) STRICT, WITHOUT ROWID;

INSERT INTO changes (user_id, conversation_id, position)
SELECT user_id, id, row_number() OVER (PARTITION BY user_id ORDER BY updated_at, id) FROM conversations;

CREATE TRIGGER conversation_created AFTER INSERT ON conversations BEGIN
    INSERT INTO changes (user_id, conversation_id, position)
    SELECT NEW.user_id, NEW.id, coalesce(max(position), 0) + 1 FROM changes WHERE user_id = NEW.user_id
    ON CONFLICT (user_id, conversation_id) DO UPDATE SET position = excluded.position;
END;

CREATE TRIGGER conversation_changed AFTER UPDATE ON conversations BEGIN
    INSERT INTO changes (user_id, conversation_id, position)
    SELECT NEW.user_id, NEW.id, coalesce(max(position), 0) + 1 FROM changes WHERE user_id = NEW.user_id
    ON CONFLICT (user_id, conversation_id) DO UPDATE SET position = excluded.position;
END;

CREATE TRIGGER conversation_deleted AFTER DELETE ON conversations BEGIN
    INSERT INTO changes (user_id, conversation_id, position)
    SELECT OLD.user_id, OLD.id, coalesce(max(position), 0) + 1 FROM changes WHERE user_id = OLD.user_id
    ON CONFLICT (user_id, conversation_id) DO UPDATE SET position = excluded.position;
END;
