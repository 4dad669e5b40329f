//! The models users can choose.

use axum::Json;
use serde::Serialize;
use shared::api::models::{MODELS, Model};

/// A model, as the documentation describes it; responses have `shared`'s own entry.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it stands for its fields' description only")]
struct ModelInfo {
    /// The name to use in requests.
    #[schema(example = "fast")]
    id: String,
    /// The provider that serves it.
    #[schema(example = "gemini")]
    provider: String,
    /// The provider's id of the model.
    model: String,
    /// The most tokens of prompt and conversation.
    context_window: u32,
    /// The most tokens of an answer.
    max_output_tokens: u32,
    /// Its abilities: `text`, `vision`, `json`, `reasoning`.
    #[schema(example = json!(["text", "vision"]))]
    abilities: Vec<String>,
    /// The least plan that may use it.
    #[schema(example = "basic")]
    plan: String,
}

/// Every model, the default first.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Models {
    /// The models.
    #[schema(value_type = Vec<ModelInfo>)]
    items: &'static [Model],
}

/// List the models
///
/// Every model that a message or a conversation can name, the default first.
#[utoipa::path(
    get,
    path = "/api/v1/ai/models",
    operation_id = "list_models",
    tag = "ai",
    responses((status = 200, description = "The models", body = Models)),
)]
pub(super) async fn list() -> Json<Models> {
    Json(Models { items: &MODELS })
}
