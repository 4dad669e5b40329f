//! Deleted conversations, and what a conversation shows after a deletion of messages.

use shared::{
    api::{
        chat::{Conversation, Message, Role, preview},
        page::Order,
    },
    id::Id,
    time::Timestamp,
};

use super::{MessagesPage, Scope};

/// The most messages that are read for a preview: a turn's last ones may be those of tools.
const PREVIEW_MESSAGES: u32 = 10;

/// A position in a user's list of deleted conversations: everything after it was deleted earlier, or at the same time with a
/// smaller id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionPosition {
    /// The deletion of the conversation at this position.
    pub deleted_at: Timestamp,
    /// The conversation at this position.
    pub id: Id,
}

impl DeletionPosition {
    /// Returns the position of this conversation.
    pub fn of(conversation: &Conversation) -> Self {
        Self { deleted_at: conversation.deleted_at.unwrap_or(conversation.created_at), id: conversation.id }
    }
}

/// A page of a user's deleted conversations.
#[derive(Clone, Copy, Debug)]
pub struct DeletedPage {
    /// Only conversations deleted after this time.
    pub since: Timestamp,
    /// Only conversations after this position.
    pub after: Option<DeletionPosition>,
    /// The most items.
    pub limit: u32,
}

/// The end of a branch from which a head and a preview are made, newest message first.
pub(in crate::store) const BRANCH_END: MessagesPage =
    MessagesPage { scope: Scope::Shown, order: Order::Desc, after: None, limit: PREVIEW_MESSAGES };

/// Returns the preview of a branch with these last messages, newest first.
pub(in crate::store) fn preview_of(newest: &[Message]) -> Option<String> {
    let said = newest.iter().filter(|message| message.role != Role::Tool && !message.content.is_empty());
    said.map(|message| preview(&message.content)).next()
}

/// Returns the mark of a deletion of messages made now, which differs from that of the one before.
pub(in crate::store) fn deletion_mark(now: Timestamp, last: Option<Timestamp>) -> Timestamp {
    last.map_or(now, |last| now.max(last.plus_millis(1)))
}
