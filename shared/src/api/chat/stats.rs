//! Counts over all conversations of a user.

use serde::{Deserialize, Serialize};

use super::Role;
use crate::{api::usage::Usage, time::Timestamp};

/// `GET chat/stats`: counts over the user's conversations, without deleted ones and deleted messages. The messages are those of
/// all branches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({
    "conversations": 12,
    "messages": 240,
    "user_messages": 118,
    "assistant_messages": 120,
    "tool_calls": 2,
    "input_tokens": 81_234,
    "output_tokens": 40_121,
    "first_message_at": "2026-11-21T09:30:00.007Z",
    "last_message_at": "2026-11-28T18:02:11.250Z",
})))]
pub struct ChatStats {
    /// Conversations, archived ones included.
    pub conversations: u64,
    /// Messages of users, models and tools.
    pub messages: u64,
    /// Messages of the user.
    pub user_messages: u64,
    /// Messages of models.
    pub assistant_messages: u64,
    /// Calls of tools in messages of models.
    pub tool_calls: u64,
    /// Tokens that the answers read.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// The time of the first message; `null` when there is none.
    pub first_message_at: Option<Timestamp>,
    /// The time of the last message; `null` when there is none.
    pub last_message_at: Option<Timestamp>,
}

impl ChatStats {
    /// Counts a message.
    pub fn add_message(&mut self, role: Role, tool_calls: u64, usage: Option<Usage>, created_at: Timestamp) {
        let Usage { input_tokens, output_tokens, .. } = usage.unwrap_or_default();
        let is_of = |wanted| u64::from(role == wanted);
        self.add(&Self {
            conversations: 0,
            messages: 1,
            user_messages: is_of(Role::User),
            assistant_messages: is_of(Role::Assistant),
            tool_calls: if role == Role::Assistant { tool_calls } else { 0 },
            input_tokens,
            output_tokens,
            first_message_at: Some(created_at),
            last_message_at: Some(created_at),
        });
    }

    /// Adds the counts of other conversations.
    pub fn add(&mut self, other: &Self) {
        let sum = |own: &mut u64, other: u64| *own = own.saturating_add(other);
        sum(&mut self.conversations, other.conversations);
        sum(&mut self.messages, other.messages);
        sum(&mut self.user_messages, other.user_messages);
        sum(&mut self.assistant_messages, other.assistant_messages);
        sum(&mut self.tool_calls, other.tool_calls);
        sum(&mut self.input_tokens, other.input_tokens);
        sum(&mut self.output_tokens, other.output_tokens);
        let firsts = [self.first_message_at, other.first_message_at];
        self.first_message_at = firsts.into_iter().flatten().min();
        self.last_message_at = self.last_message_at.max(other.last_message_at);
    }
}
