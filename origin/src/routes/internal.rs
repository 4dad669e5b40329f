//! The routes of the Worker. The user's own token is checked here as everywhere, so that a leaked key of the Worker
//! impersonates nobody. Each answer that shows the session to be active also names the documents that its user is to agree to.

use std::sync::Arc;

use axum::{
    Extension, Json as Reply,
    extract::{FromRequest, Request, State},
};
use shared::{
    api::{
        ApiError, ErrorCode,
        chat::TurnStatus,
        internal::{
            ContextQuery, ConversationContext, DeliveryReceipt, MAX_DELIVERY_AGE_MS, StoredTurn, TurnDelivery,
        },
    },
    auth::claims::LEEWAY_S,
    time::SECOND_MS,
};

use super::list_cache::write_and_invalidate;
use crate::{
    app::App,
    http::{
        CurrentUser, Error, MissingConsents, PathId, Query,
        auth::Bearer,
        body::{has_media_type, read_request},
    },
    store::{
        Chats,
        accounts::usage::{UsageEntry, UsageOutcome},
    },
    telemetry::deliveries::DeliveryOutcome,
};

/// `POST turns`: stores a turn and counts its usage, each once, however often it is delivered. Conversations come first:
/// a crash between the two is completed by the next delivery.
#[utoipa::path(post, path = "/internal/v1/turns")]
pub(super) async fn deliver(
    State(app): State<App>,
    Bearer(token): Bearer,
    Delivery(delivery): Delivery,
) -> Result<(Extension<DeliveryOutcome>, Reply<DeliveryReceipt>), Error> {
    authorize(&app, &token, &delivery).await?;
    let usage = usage_of(&delivery);
    let last_seq = record(&app, delivery).await?;
    let outcome = match app.stores.accounts.record_usage(usage).await? {
        UsageOutcome::Counted => DeliveryOutcome::Accepted,
        UsageOutcome::Repeated => DeliveryOutcome::Repeated,
        UsageOutcome::NoUser => {
            tracing::info!("a delivery came for a user who is gone");
            DeliveryOutcome::Accepted
        }
    };
    let receipt =
        DeliveryReceipt { conversation_exists: last_seq.is_some(), last_seq: last_seq.unwrap_or(0) };
    Ok((Extension(outcome), Reply(receipt)))
}

/// Records a turn. Where its user was a guest who was merged into somebody else meanwhile, it is that one's; its usage stays the
/// guest's.
async fn record(app: &App, delivery: TurnDelivery) -> Result<Option<u64>, Error> {
    let (user_id, first) = (delivery.user_id, delivery.clone());
    let recording = |chats: Arc<dyn Chats>| async move { chats.record_turn(first).await };
    let recorded = write_and_invalidate(app, user_id, recording).await?;
    if recorded.is_some() {
        return Ok(recorded);
    }
    let Some(user_id) = app.stores.accounts.merged_into(user_id).await? else { return Ok(None) };
    let delivery = TurnDelivery { user_id, ..delivery };
    let recording = |chats: Arc<dyn Chats>| async move { chats.record_turn(delivery).await };
    write_and_invalidate(app, user_id, recording).await
}

/// `GET turns/{id}`: a turn as it was stored.
#[utoipa::path(get, path = "/internal/v1/turns/{id}")]
pub(super) async fn turn(
    State(app): State<App>,
    current: CurrentUser,
    PathId(id): PathId,
) -> Result<(MissingConsents, Reply<StoredTurn>), Error> {
    let missing = MissingConsents(app.auth.missing_consents(current.user.id).await?);
    let found = app.stores.chats.turn(current.user.id, id).await?;
    found.map(|turn| (missing, Reply(turn))).ok_or_else(|| ErrorCode::NotFound.into())
}

/// `GET conversations/{id}/context`: the base of the next turn, at the head or at a message.
#[utoipa::path(get, path = "/internal/v1/conversations/{id}/context")]
pub(super) async fn context(
    State(app): State<App>,
    current: CurrentUser,
    PathId(id): PathId,
    Query(ContextQuery { at }): Query<ContextQuery>,
) -> Result<(MissingConsents, Reply<ConversationContext>), Error> {
    let missing = MissingConsents(app.auth.missing_consents(current.user.id).await?);
    let found = app.stores.chats.context(current.user.id, id, at).await?;
    found.map(|context| (missing, Reply(context))).ok_or_else(|| ErrorCode::NotFound.into())
}

/// A delivery may arrive long after the token that began the turn has expired, or after its session has ended: the token must
/// have been valid when the turn began, and that must not be too long ago.
async fn authorize(app: &App, token: &str, delivery: &TurnDelivery) -> Result<(), Error> {
    let claims = app.auth.tokens.verify(token, delivery.created_at).await?;
    if claims.sub != delivery.user_id {
        return Err(ErrorCode::Forbidden.into());
    }
    let age_ms = app.clock.now().millis_since(delivery.created_at);
    if age_ms > MAX_DELIVERY_AGE_MS {
        return Err(ApiError::invalid_field("created_at", "is too long ago").into());
    }
    if age_ms < -LEEWAY_S * SECOND_MS {
        return Err(ApiError::invalid_field("created_at", "is in the future").into());
    }
    Ok(())
}

fn usage_of(delivery: &TurnDelivery) -> UsageEntry {
    UsageEntry {
        turn_id: delivery.turn_id,
        user_id: delivery.user_id,
        at: delivery.created_at,
        model: delivery.model.clone(),
        usage: delivery.usage,
        failed: delivery.status == TurnStatus::Failed,
    }
}

/// The body of a delivery.
pub(super) struct Delivery(TurnDelivery);

impl FromRequest<App> for Delivery {
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self, Error> {
        if !has_media_type(request.headers(), "application/json") {
            return Err(ErrorCode::UnsupportedMediaType.into());
        }
        let body = read_request(request).await?;
        let delivery: TurnDelivery = serde_json::from_slice(&body)
            .map_err(|error| ApiError::new(ErrorCode::InvalidRequest, format!("Not a delivery: {error}")))?;
        delivery.check()?;
        Ok(Self(delivery))
    }
}
