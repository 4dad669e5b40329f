//! Requests for an answer that add no words of the user's, and what a request wants while another answer runs.

use garde::Validate;
use serde::{Deserialize, Serialize};

use super::{
    conversation::known_model,
    message::{FormatRequest, MAX_OUTPUT_TOKENS, MAX_TEMPERATURE, SendMessage},
};

/// The wish of a request while another answer runs in its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WhenRunning {
    /// It is refused.
    Reject,
    /// It waits for its turn.
    Queue,
}

/// `POST chat/conversations/{id}/messages/{mid}/regenerate` and `…/continue`: how to answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"model": "fast", "stream": false})))]
pub struct AnswerRequest {
    /// The model to ask, when not the conversation's.
    #[serde(default)]
    #[garde(custom(known_model))]
    #[cfg_attr(feature = "openapi", schema(example = "fast"))]
    pub model: Option<String>,
    /// True for an answer as a stream of events. Without it the `Accept` header decides.
    #[serde(default)]
    #[garde(skip)]
    pub stream: Option<bool>,
    /// Sampling temperature, 0 to 2: the higher, the more freely the model speaks.
    #[serde(default)]
    #[garde(inner(range(min = 0.0, max = MAX_TEMPERATURE)))]
    pub temperature: Option<f64>,
    /// The most tokens of the answer.
    #[serde(default)]
    #[garde(inner(range(min = 1, max = MAX_OUTPUT_TOKENS)))]
    pub max_output_tokens: Option<u32>,
    /// The form that the answer should have.
    #[serde(default)]
    #[garde(dive)]
    pub response_format: Option<FormatRequest>,
    /// The same as an `Idempotency-Key` header.
    #[serde(default)]
    #[garde(inner(length(chars, min = 1, max = 255)))]
    pub client_message_id: Option<String>,
    /// While another answer runs in the conversation: `reject` (the default) for a 409, `queue` to wait for its turn.
    #[serde(default)]
    #[garde(skip)]
    pub when_running: Option<WhenRunning>,
}

impl From<AnswerRequest> for SendMessage {
    /// Returns a message without words, with the same wishes.
    fn from(request: AnswerRequest) -> Self {
        let AnswerRequest {
            model,
            stream,
            temperature,
            max_output_tokens,
            response_format,
            client_message_id,
            when_running,
        } = request;
        Self {
            content: None,
            parts: None,
            model,
            stream,
            temperature,
            max_output_tokens,
            response_format,
            tools: None,
            client_message_id,
            when_running,
        }
    }
}
