//! Counts over all conversations of a user.

use axum::{Json as Reply, extract::State};
use shared::api::chat::ChatStats;

use crate::{
    app::App,
    http::{CurrentUser, Error},
};

/// Count conversations and messages
///
/// Those that are there now: deleted ones are not counted, while `usage/me` goes on counting what they cost.
#[utoipa::path(
    get,
    path = "/api/v1/chat/stats",
    operation_id = "show_stats",
    tag = "chat",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The counts", body = ChatStats),
    ),
)]
pub(super) async fn show(State(app): State<App>, current: CurrentUser) -> Result<Reply<ChatStats>, Error> {
    Ok(Reply(app.stores.chats.stats(current.user.id).await?))
}
