//! Turns: what they do, how they end, and what is shown of them.

use serde::{Deserialize, Serialize};

use crate::{
    api::{
        error::ErrorCode,
        open::{Name, open_names, serde_as_name},
        usage::Usage,
    },
    id::Id,
    time::Timestamp,
};

open_names! {
    /// The kind of a turn: what it does to its conversation.
    pub enum TurnKind {
        /// Answers a new message of the user's.
        Reply = "reply",
        /// Answers the same message once more, beside the earlier answer.
        Regenerate = "regenerate",
        /// Answers a message that stands beside an earlier one, in its place.
        Edit = "edit",
        /// Goes on with an answer that was cut short.
        Continue = "continue",
        /// Goes on with the results of tools that the client ran.
        ToolResults = "tool_results",
    }
}

open_names! {
    /// The status of a turn, or of the answer it makes.
    pub enum TurnStatus {
        /// It waits for the turns before it. Only a turn has it, never a message.
        Queued = "queued",
        /// The model is speaking.
        Running = "running",
        /// The model came to its end.
        Completed = "completed",
        /// The answer is shorter than the model meant it: it was stopped, or its stream ended before it did.
        Incomplete = "incomplete",
        /// The user stopped it.
        Cancelled = "cancelled",
        /// The provider failed.
        Failed = "failed",
        /// Our side was restarted in the middle.
        Interrupted = "interrupted",
    }
}

impl TurnStatus {
    /// Returns whether nothing follows any more. What only a newer version knows is an end: what runs, it runs by itself.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

open_names! {
    /// The reason for which the model stopped.
    pub enum FinishReason {
        /// It had said everything.
        Stop = "stop",
        /// It reached `max_output_tokens`.
        Length = "length",
        /// The provider's filter stopped it.
        ContentFilter = "content_filter",
        /// It repeated somebody's text too closely.
        Recitation = "recitation",
        /// It wants a tool to be called.
        ToolCalls = "tool_calls",
        /// Its output has no valid form.
        InvalidOutput = "invalid_output",
        /// It called tools in a way that is not valid.
        InvalidToolCall = "invalid_tool_call",
        /// It does not speak this language.
        Language = "language",
        /// Something else the provider names.
        Other = "other",
    }
}

macro_rules! turn_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal $error:ident $detail:literal;)+) => {
        /// The reason for which a turn did not complete: an error's code, or why there is no whole answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum TurnCode {
            /// An error, as a request would be answered with it.
            Error(ErrorCode),
            $($(#[doc = $doc])+ $variant,)+
            /// One of a newer version.
            Unknown(Name),
        }

        impl TurnCode {
            /// The names of those that are no error's.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The code as it stands in a body and a table.
            pub fn as_str(&self) -> &str {
                match self {
                    Self::Error(code) => code.as_str(),
                    $(Self::$variant => $name,)+
                    Self::Unknown(name) => name.as_str(),
                }
            }

            /// Reads what [`Self::as_str`] wrote, this version's or a newer one's; `None` when it is no name at all.
            pub fn parse(text: &str) -> Option<Self> {
                Some(match text {
                    $($name => Self::$variant,)+
                    _ => match ErrorCode::parse(text) {
                        Some(code) => Self::Error(code),
                        None => Self::Unknown(Name::new(text)?),
                    },
                })
            }

            /// The sentence a client gets when nothing more precise is known.
            pub const fn default_detail(self) -> &'static str {
                match self {
                    Self::Error(code) => code.default_detail(),
                    $(Self::$variant => $detail,)+
                    Self::Unknown(_) => "The answer did not complete",
                }
            }

            /// The error that a request is answered with when its turn failed for this reason.
            pub const fn as_error(self) -> ErrorCode {
                match self {
                    Self::Error(code) => code,
                    $(Self::$variant => ErrorCode::$error,)+
                    Self::Unknown(_) => ErrorCode::ProviderError,
                }
            }
        }
    };
}

turn_codes! {
    /// The answer reached `max_output_tokens`.
    Length = "length" ProviderError "The answer reached its token limit";
    /// The provider's safety rules blocked the prompt or stopped the answer.
    Safety = "safety" ProviderRefused "The model provider's safety rules stopped the answer";
    /// The answer repeated somebody's text too closely.
    Recitation = "recitation" ProviderRefused "The model provider stopped the answer because it repeats a known text";
    /// The model's output has no valid form.
    InvalidOutput = "invalid_output" ProviderError "The model's answer has no valid form";
    /// The model called tools in a way that is not valid.
    InvalidToolCall = "invalid_tool_call" ProviderError "The model's call of a tool has no valid form";
    /// The model does not speak a language of the conversation.
    Language = "language" ProviderError "The model does not speak this language";
    /// The model finished without a word.
    EmptyAnswer = "empty_answer" ProviderError "The model gave no answer";
    /// The answer ended without a finish reason.
    NoFinishReason = "no_finish_reason" ProviderError "The answer ended before the model had finished it";
    /// The connection to the provider broke in the middle of the answer.
    ProviderDisconnected = "provider_disconnected" ProviderUnavailable "The connection to the model provider broke";
    /// What the provider sent cannot be read.
    ProviderMalformed = "provider_malformed" ProviderError "The model provider's answer cannot be read";
    /// The request waited too long for its turn.
    QueueTimeout = "queue_timeout" Overloaded "The message waited too long for its turn";
}

impl From<ErrorCode> for TurnCode {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code)
    }
}

serde_as_name!(
    TurnCode,
    "Why a turn did not complete: the code of an error, or why there is no whole answer.",
    TurnCode::NAMES.iter().copied().chain(ErrorCode::ALL.iter().map(|code| code.as_str()))
);

/// The reason for which a turn did not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TurnError {
    /// The machine-readable name.
    pub code: TurnCode,
    /// One sentence for a person.
    pub detail: String,
}

impl TurnError {
    /// The error of this code; without a sentence of its own it has the code's.
    pub fn new(code: TurnCode, detail: Option<String>) -> Self {
        Self { code, detail: detail.unwrap_or_else(|| code.default_detail().to_owned()) }
    }
}

/// A turn: what the user says or asks for, and the answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Turn {
    /// The turn's id.
    pub id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// Its status.
    pub status: TurnStatus,
    /// The model's alias.
    pub model: String,
    /// The answer so far.
    pub text: String,
    /// The id of its newest event.
    pub last_event_id: u64,
    /// The user's message; `null` for a turn that added none.
    pub user_message_id: Option<Id>,
    /// The answer's message.
    pub assistant_message_id: Id,
    /// Its usage; `null` until it has ended.
    pub usage: Option<Usage>,
    /// The reason for which it did not complete.
    pub error: Option<TurnError>,
    /// True once the origin has stored it.
    pub persisted: bool,
    /// The time at which it was taken on.
    pub created_at: Timestamp,
    /// The time at which it ended.
    pub finished_at: Option<Timestamp>,
}
