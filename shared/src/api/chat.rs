//! Conversations, messages and turns.
//!
//! - [`answer`]: requests for an answer without new words
//! - [`conversation`]: conversations, and what opens and changes them
//! - [`message`]: messages, and what sends one
//! - [`part`]: the pieces of a message
//! - [`turn`]: turns, their kinds and ends
//! - [`stats`]: counts over all of a user's conversations

pub mod answer;
pub mod conversation;
pub mod message;
pub mod part;
pub mod stats;
pub mod turn;

pub use self::{
    answer::{AnswerRequest, WhenRunning},
    conversation::{
        Conversation, CreateConversation, MAX_SYSTEM_CHARS, MAX_TITLE_CHARS, PREVIEW_CHARS, UNDELETE_DAYS,
        UpdateConversation, preview,
    },
    message::{
        FormatRequest, FormatType, MAX_OUTPUT_TOKENS, MAX_TEMPERATURE, Message, ResponseFormat, Role,
        SendMessage, SentMessage, ToolCall,
    },
    part::{Content, IMAGE_TYPES, MAX_PARTS, MAX_TEXT_CHARS, Part, PartRequest, PartType, joined_text},
    stats::ChatStats,
    turn::{FinishReason, Turn, TurnCode, TurnError, TurnKind, TurnStatus},
};

#[cfg(test)]
mod tests;
