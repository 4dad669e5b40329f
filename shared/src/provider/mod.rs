//! Model providers as plain data: what is asked of a model and what it answers, whichever provider serves it, and the
//! wire formats that carry it.
//!
//! No HTTP happens here. A provider's module turns a [`ModelRequest`] into the bytes to send and the bytes that come
//! back into [`ModelEvent`]s; [`completion`] follows one answer from its first byte to its outcome; [`failure`] says what a
//! failed call means for a client; [`timeouts`] bounds the time an answer may take; [`estimate`] counts the tokens that a provider
//! did not.

pub mod completion;
pub mod estimate;
pub mod failure;
pub mod gemini;
pub mod timeouts;

pub use completion::{Completion, Outcome};
pub use failure::ProviderFailure;
pub use timeouts::{ProviderTimeouts, TimeoutBounds};

pub use crate::api::chat::{FinishReason, ResponseFormat};
use crate::api::models::Model;
pub use crate::api::usage::Usage;

/// A request to a model. Every provider can be asked this.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelRequest {
    /// Instructions that stand above the conversation.
    pub system: Option<String>,
    /// The conversation, oldest message first. Current models answer only when the last one is the user's.
    pub messages: Vec<ChatMessage>,
    /// Sampling temperature, 0 to 2; not every model honours it ([`Self::fit_to`]).
    pub temperature: Option<f64>,
    /// The most tokens the answer may have, thinking included.
    pub max_output_tokens: Option<u32>,
    /// The shape of the answer; the provider's default (text) when absent.
    pub response_format: Option<ResponseFormat>,
}

impl ModelRequest {
    /// Takes out what this model does not honour, and lowers what is over its limits.
    pub fn fit_to(&mut self, model: &Model) {
        if !model.temperature {
            self.temperature = None;
        }
        self.max_output_tokens = self.max_output_tokens.map(|tokens| tokens.min(model.max_output_tokens));
    }
}

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// The one who said it.
    pub role: Role,
    /// The content, in order.
    pub parts: Vec<ContentPart>,
}

impl ChatMessage {
    /// A message of one text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![ContentPart::Text(text.into())] }
    }
}

/// The one who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The person.
    User,
    /// The model, in an earlier answer.
    Model,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentPart {
    /// Words.
    Text(String),
    /// An image within the request.
    InlineImage {
        /// Such as `image/png`.
        mime_type: String,
        /// The image in standard base64.
        data_base64: String,
    },
}

/// Something a model's answer tells, in the order it tells it.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// More words of the answer; never empty.
    TextDelta(String),
    /// The model wants a tool to run.
    ToolCall {
        /// The provider's id of the call, where it gives one.
        id: Option<String>,
        /// The tool's name.
        name: String,
        /// The tool's arguments: a JSON object, empty when the model gave none.
        arguments: serde_json::Value,
    },
    /// The prompt was blocked; no answer comes.
    Refused(RefusalReason),
    /// The usage of the answer so far; replaces every earlier one.
    Usage(Usage),
    /// The reason for which the model stopped. The last one counts; nothing of the same chunk follows
    /// it, though a later chunk may.
    Finish(FinishReason),
}

/// The reason for which a prompt was blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// The provider's safety rules.
    Safety,
    /// A term the provider does not take.
    Blocklist,
    /// Content the provider's terms forbid.
    ProhibitedContent,
    /// Something the provider names otherwise, or not.
    Other,
}

/// The end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The model said why it stopped.
    Completed(FinishReason),
    /// The prompt was blocked.
    Refused,
    /// The bytes ended before the model said why: the answer is cut off.
    Incomplete,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::models::{MODELS, resolve};

    #[test]
    fn models_can_be_called() {
        for model in &MODELS {
            assert!(gemini::path(model.model, true).is_some(), "{}", model.model);
        }
    }

    #[test]
    fn request_is_fitted_to_its_model() {
        let asked = ModelRequest {
            temperature: Some(0.5),
            max_output_tokens: Some(1_000_000),
            ..ModelRequest::default()
        };
        let mut fitted = asked.clone();
        fitted.fit_to(resolve("fast").unwrap());
        assert_eq!((fitted.temperature, fitted.max_output_tokens), (None, Some(65_536)));
        let mut fitted = ModelRequest { max_output_tokens: Some(7), ..asked };
        fitted.fit_to(resolve("gemini-2.5-flash-lite").unwrap());
        assert_eq!((fitted.temperature, fitted.max_output_tokens), (Some(0.5), Some(7)));
    }
}
