//! Conversations: what is shown of them, and what opens and changes them.

use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::{
    api::{body::double_option, models},
    id::Id,
    time::Timestamp,
};

/// The most characters of a conversation's instructions.
pub const MAX_SYSTEM_CHARS: usize = 20_000;
/// The most characters of a conversation's name.
pub const MAX_TITLE_CHARS: usize = 200;
/// The days in which a deleted conversation can be brought back.
pub const UNDELETE_DAYS: i64 = 30;
/// Characters of a conversation's preview of its last message.
pub const PREVIEW_CHARS: usize = 120;

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Conversation {
    /// The conversation's id.
    pub id: Id,
    /// Its name; `null` until somebody names it.
    pub title: Option<String>,
    /// The model its messages go to when a message does not say.
    pub model: Option<String>,
    /// Instructions the model gets before every message.
    pub system: Option<String>,
    /// True when the user pinned it.
    pub pinned: bool,
    /// True when the user put it away.
    pub archived: bool,
    /// The last message of the branch that is shown; `null` while it has none.
    pub head_id: Option<Id>,
    /// The highest `seq` of its messages so far, those of all branches and deleted ones; 0 while it has none.
    pub message_count: u64,
    /// The first characters of the last message; after a deletion of messages, of the last one of the branch that is shown.
    pub last_message_preview: Option<String>,
    /// The time at which the last message came, also when that was deleted since.
    pub last_message_at: Option<Timestamp>,
    /// The time at which it was opened.
    pub created_at: Timestamp,
    /// The time of its last change.
    pub updated_at: Timestamp,
    /// The time at which messages of it were last deleted; `null` when none was. Each deletion makes it another one, so that
    /// whoever keeps a copy of the messages knows that some of them are gone.
    pub messages_deleted_at: Option<Timestamp>,
    /// The time at which it was deleted; `null` while it is not. It can be brought back for 30 days.
    pub deleted_at: Option<Timestamp>,
}

/// The first characters of a text, for lists.
pub fn preview(text: &str) -> String {
    text.chars().take(PREVIEW_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `POST chat/conversations`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateConversation {
    /// Its name.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_TITLE_CHARS)))]
    pub title: Option<String>,
    /// The model its messages go to when a message does not say.
    #[serde(default)]
    #[garde(custom(known_model))]
    #[cfg_attr(feature = "openapi", schema(example = "fast"))]
    pub model: Option<String>,
    /// Instructions the model gets before every message.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_SYSTEM_CHARS)))]
    pub system: Option<String>,
}

/// `PATCH chat/conversations/{id}`: only what is named changes; `null` clears.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateConversation {
    /// Its name.
    #[serde(default, deserialize_with = "double_option", skip_serializing_if = "Option::is_none")]
    #[garde(inner(inner(length(chars, max = MAX_TITLE_CHARS))))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub title: Option<Option<String>>,
    /// True to pin it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub pinned: Option<bool>,
    /// True to put it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub archived: Option<bool>,
    /// The model its messages go to when a message does not say.
    #[serde(default, deserialize_with = "double_option", skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(known_model)))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub model: Option<Option<String>>,
    /// Instructions the model gets before every message.
    #[serde(default, deserialize_with = "double_option", skip_serializing_if = "Option::is_none")]
    #[garde(inner(inner(length(chars, max = MAX_SYSTEM_CHARS))))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub system: Option<Option<String>>,
    /// The last message of the branch to show: any message of the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub head_id: Option<Id>,
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "garde calls custom rules like this"
)]
pub(super) fn known_model(model: &Option<String>, _context: &()) -> garde::Result {
    match model {
        Some(name) if models::resolve(name).is_none() => {
            Err(garde::Error::new("is not a model of this server; ai/models lists them"))
        }
        _ => Ok(()),
    }
}
