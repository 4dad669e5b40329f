-- Conversations that can be brought back, messages that were deleted, and indexes for pinned conversations and for counts.

ALTER TABLE conversations ADD COLUMN deleted_at INTEGER;
ALTER TABLE conversations ADD COLUMN messages_deleted_at INTEGER;

-- Deleted conversations are in no list, so that a page passes none of them.
DROP INDEX conversations_by_activity;
DROP INDEX conversations_by_archived;
CREATE INDEX conversations_by_activity ON conversations (user_id, activity_at, id) WHERE deleted_at IS NULL;
CREATE INDEX conversations_by_archived ON conversations (user_id, archived, activity_at, id) WHERE deleted_at IS NULL;
CREATE INDEX conversations_by_pinned ON conversations (user_id, pinned, activity_at, id) WHERE deleted_at IS NULL;
CREATE INDEX conversations_by_both ON conversations (user_id, archived, pinned, activity_at, id) WHERE deleted_at IS NULL;
CREATE INDEX conversations_deleted ON conversations (user_id, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX conversations_to_purge ON conversations (deleted_at) WHERE deleted_at IS NOT NULL;

-- What happens to a deleted conversation is no change to follow, but for its return and another owner.
DROP TRIGGER conversation_changed;
CREATE TRIGGER conversation_changed AFTER UPDATE ON conversations
WHEN OLD.deleted_at IS NULL OR NEW.deleted_at IS NULL OR OLD.user_id <> NEW.user_id BEGIN
    INSERT INTO changes (user_id, conversation_id, position)
    SELECT NEW.user_id, NEW.id, coalesce(max(position), 0) + 1 FROM changes WHERE user_id = NEW.user_id
    ON CONFLICT (user_id, conversation_id) DO UPDATE SET position = excluded.position;
END;
DROP TRIGGER conversation_deleted;
CREATE TRIGGER conversation_deleted AFTER DELETE ON conversations WHEN OLD.deleted_at IS NULL BEGIN
    INSERT INTO changes (user_id, conversation_id, position)
    SELECT OLD.user_id, OLD.id, coalesce(max(position), 0) + 1 FROM changes WHERE user_id = OLD.user_id
    ON CONFLICT (user_id, conversation_id) DO UPDATE SET position = excluded.position;
END;

-- The ids of deleted messages, which no delivery brings back.
CREATE TABLE deleted_messages (
    id              BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    conversation_id BLOB NOT NULL REFERENCES conversations (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX deleted_messages_by_conversation ON deleted_messages (conversation_id);
CREATE INDEX branches_by_origin ON branches (conversation_id, from_branch_id, from_seq);

-- All that counts need, so that they read no message. Few messages call tools.
CREATE INDEX messages_to_count ON messages (conversation_id, role, created_at, input_tokens, output_tokens);
CREATE INDEX messages_with_tools ON messages (conversation_id) WHERE tool_calls IS NOT NULL;
