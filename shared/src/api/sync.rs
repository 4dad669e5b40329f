//! Changes for a user, by which a client that keeps a copy of conversations keeps it right.

use serde::{Deserialize, Serialize};

use super::chat::Conversation;
use crate::id::Id;

/// A conversation that changed: it, its messages, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncItem {
    /// The conversation's id.
    pub id: Id,
    /// True when it was deleted, with all its messages. Brought back, it comes again as a conversation.
    pub deleted: bool,
    /// The conversation as it is now; `null` when it was deleted.
    pub conversation: Option<Conversation>,
}

/// `GET sync`: what changed, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "items": [
        {
            "id": "019aa5d2-8c00-7000-8000-3f6d2b1c9e77",
            "deleted": false,
            "conversation": {
                "id": "019aa5d2-8c00-7000-8000-3f6d2b1c9e77",
                "title": "Rust",
                "model": "fast",
                "system": null,
                "pinned": false,
                "archived": false,
                "head_id": "019aa5d2-8f10-7000-8000-7a6b5c4d3e2f",
                "message_count": 2,
                "last_message_preview": "Ownership is who cleans up.",
                "last_message_at": "2026-11-21T09:30:02.500Z",
                "created_at": "2026-11-21T09:30:00.007Z",
                "updated_at": "2026-11-21T09:30:02.500Z",
                "messages_deleted_at": null,
                "deleted_at": null,
            },
        },
        {"id": "019aa5d2-9000-7000-8000-0c1d2e3f4a5b", "deleted": true, "conversation": null},
    ],
    "next_cursor": "c3luY3w3",
    "has_more": false,
})))]
pub struct SyncPage {
    /// The conversations that changed. One may come more than once, each time as it is now.
    pub items: Vec<SyncItem>,
    /// Send it as `cursor` to hear of what changes after this page. Always there, also when nothing is new.
    pub next_cursor: String,
    /// True when more is there already; ask again at once.
    pub has_more: bool,
}
