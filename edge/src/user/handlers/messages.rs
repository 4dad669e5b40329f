//! `POST chat/conversations/{id}/messages`.

use std::rc::Rc;

use shared::{
    api::{
        ErrorCode,
        body::{self, MAX_BODY_BYTES},
        chat::{SendMessage, Turn},
    },
    http::{accept, headers::IDEMPOTENCY_KEY},
    id::Id,
};
use worker::{Headers, Response, ResponseBuilder};

use super::turns;
use crate::{
    body::read as read_body,
    log::Scope,
    platform::{self, Incoming},
    reply::{self, Error},
    user::{
        Identity,
        live_turn::Reader,
        object::User,
        runner::{Admitted, TurnRequest},
    },
};

/// Sends a message: answers with a stream, with a background turn, or with both messages once the answer is complete.
pub async fn send(
    user: &Rc<User>,
    request: &Incoming,
    conversation: Id,
    identity: Identity,
    scope: &Scope,
) -> Result<Response, Error> {
    let bytes = read_body(request, MAX_BODY_BYTES).await?;
    let message: SendMessage = body::parse(&bytes)?;
    drop(bytes);
    let is_streamed = accept::wants_event_stream(request.header("Accept"), message.stream)?;
    let key = accept::idempotency_key(request.header(IDEMPOTENCY_KEY), message.client_message_id.as_deref())?;
    let respond_async = accept::prefer_respond_async(request.header("Prefer"));

    // It may have ended while the body arrived.
    user.sessions.reject_revoked(&identity)?;
    let session = identity.session_id;
    let request = TurnRequest {
        identity,
        conversation,
        message,
        key,
        // Other readers get the words as they arrive, also when this client does not.
        is_streamed: is_streamed || respond_async,
        now: platform::now(),
    };
    let turn = match user.runner.admit(&request)? {
        Admitted::New(turn) => {
            user.spawn_turn(&turn, request, scope);
            turn
        }
        Admitted::Known(turn) => {
            user.sessions.check(&request.identity, scope).await?;
            user.close_ended_turn(&turn, scope).await;
            turn
        }
    };
    user.sessions.while_active(session, turn.wait_started()).await??;
    if respond_async && let Some(turn) = turn.state().map(|state| state.view()) {
        return Ok(accepted(&turn)?);
    }
    if is_streamed && let Some(reader) = Reader::attach(&turn, 0, &user.sessions, session)? {
        return Ok(turns::stream(user, reader, turn.id())?);
    }
    user.sessions.while_active(session, turn.wait_finished()).await?;
    let answer = turn.state().map(|state| state.answer()).ok_or(ErrorCode::Internal)?;
    Ok(reply::json(201, &answer?)?)
}

/// Makes the `202 Accepted` of a background turn.
fn accepted(turn: &Turn) -> worker::Result<Response> {
    let headers = Headers::new();
    headers.set("Content-Type", "application/json")?;
    headers.set("Cache-Control", "no-store")?;
    headers.set("Preference-Applied", "respond-async")?;
    headers.set("Location", &turns::location(turn.id))?;
    Ok(ResponseBuilder::new().with_status(202).with_headers(headers).fixed(serde_json::to_vec(turn)?))
}
