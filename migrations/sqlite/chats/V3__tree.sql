-- The tree of a conversation's messages: branches, and the head, which is the last message of the branch that is shown.
-- What is there already is one branch a conversation.

-- The trunk has no row here, and its messages have no branch.
CREATE TABLE branches (
    -- The id of its first message.
    id              BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    conversation_id BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    first_seq       INTEGER NOT NULL,
    -- The place of the message before its first one.
    from_branch_id  BLOB,
    from_seq        INTEGER NOT NULL,
    level           INTEGER NOT NULL,
    -- A branch further down the path: all three or none.
    jump_id         BLOB,
    jump_first_seq  INTEGER,
    jump_level      INTEGER
) STRICT;

CREATE INDEX branches_by_conversation ON branches (conversation_id);

-- A row's content may be long, and what stands behind it is read last: the branch stands before it.
CREATE TABLE messages_of_branches (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    conversation_id  BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn_id          BLOB    NOT NULL,
    parent_id        BLOB,
    branch_id        BLOB,
    seq              INTEGER NOT NULL CHECK (seq >= 1),
    role             TEXT    NOT NULL,
    content          TEXT    NOT NULL,
    -- JSON; NULL when the message is one text part and that is content.
    parts            TEXT,
    status           TEXT    NOT NULL,
    finish_reason    TEXT,
    model            TEXT,
    -- All five or none.
    input_tokens     INTEGER,
    output_tokens    INTEGER,
    cached_tokens    INTEGER,
    reasoning_tokens INTEGER,
    total_tokens     INTEGER,
    -- JSON; NULL when there are none.
    tool_calls       TEXT,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    UNIQUE (conversation_id, seq)
) STRICT;

INSERT INTO messages_of_branches
SELECT id, conversation_id, turn_id, parent_id, NULL, seq, role, content, parts, status, finish_reason, model,
    input_tokens, output_tokens, cached_tokens, reasoning_tokens, total_tokens, tool_calls, created_at, updated_at
FROM messages;
DROP TABLE messages;
ALTER TABLE messages_of_branches RENAME TO messages;

CREATE INDEX messages_by_branch ON messages (conversation_id, branch_id, seq);
CREATE INDEX messages_by_parent ON messages (conversation_id, parent_id, seq);

ALTER TABLE conversations ADD COLUMN head_id BLOB;
ALTER TABLE conversations ADD COLUMN head_branch_id BLOB;
ALTER TABLE conversations ADD COLUMN head_seq INTEGER NOT NULL DEFAULT 0;
-- What made the head, and the last turn that made one.
ALTER TABLE conversations ADD COLUMN head_mark BLOB;
ALTER TABLE conversations ADD COLUMN head_turn_id BLOB;
-- Whether the order of arrival may be another one than that of the tree.
ALTER TABLE conversations ADD COLUMN is_branched INTEGER NOT NULL DEFAULT 0 CHECK (is_branched IN (0, 1));

-- Nothing a client sees changes by this, so it is no change to follow.
DROP TRIGGER conversation_changed;
UPDATE conversations SET (head_id, head_seq) = (
    SELECT id, seq FROM messages WHERE conversation_id = conversations.id ORDER BY seq DESC LIMIT 1
) WHERE EXISTS (SELECT 1 FROM messages WHERE conversation_id = conversations.id);
CREATE TRIGGER conversation_changed AFTER UPDATE ON conversations BEGIN
    INSERT INTO changes (user_id, conversation_id, position)
    SELECT NEW.user_id, NEW.id, coalesce(max(position), 0) + 1 FROM changes WHERE user_id = NEW.user_id
    ON CONFLICT (user_id, conversation_id) DO UPDATE SET position = excluded.position;
END;

ALTER TABLE turns ADD COLUMN kind TEXT NOT NULL DEFAULT 'reply';
-- The ids of its messages in order, sixteen bytes each; NULL in rows of an earlier version, which have two. The first and the
-- last stand in user_message_id and assistant_message_id, where an earlier version reads them.
ALTER TABLE turns ADD COLUMN message_ids BLOB CHECK (length(message_ids) % 16 = 0);
-- All five or none: of an earlier version, whose answers have what the turn used.
ALTER TABLE turns ADD COLUMN input_tokens INTEGER;
ALTER TABLE turns ADD COLUMN output_tokens INTEGER;
ALTER TABLE turns ADD COLUMN cached_tokens INTEGER;
ALTER TABLE turns ADD COLUMN reasoning_tokens INTEGER;
ALTER TABLE turns ADD COLUMN total_tokens INTEGER;
