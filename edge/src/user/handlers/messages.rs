//! `POST chat/conversations/{id}/messages`, and turns about one of its messages.

use std::rc::Rc;

use shared::{
    api::{
        ErrorCode,
        body::{self, MAX_BODY_BYTES},
        chat::{AnswerRequest, SendMessage, Turn},
    },
    chat::{delivery::heartbeat, place::Target},
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
        admission::{Admitted, TurnRequest},
        live_turn::{LiveTurn, Reader},
        object::User,
    },
};

/// Sends a message, or asks for a turn about one: answers with a stream, with a background turn, or with the messages once the answer
/// is complete.
pub async fn send(
    user: &Rc<User>,
    request: &Incoming,
    conversation: Id,
    target: Target,
    identity: Identity,
    scope: &Scope,
) -> Result<Response, Error> {
    let message = read_message(request, target).await?;
    let is_streamed = accept::wants_event_stream(request.header("Accept"), message.stream)?;
    let key = accept::idempotency_key(request.header(IDEMPOTENCY_KEY), message.client_message_id.as_deref())?;
    let respond_async = accept::prefer_respond_async(request.header("Prefer"));

    // It may have ended while the body arrived.
    user.sessions.reject_revoked(&identity)?;
    let (session, now) = (identity.session_id, platform::now());
    let request = TurnRequest {
        identity,
        conversation,
        target,
        message,
        key,
        // Other readers get the words as they arrive, also when this client does not.
        is_streamed: is_streamed || respond_async,
        question_id: platform::new_id(now),
        answer_id: platform::new_id(now),
        now,
    };
    let turn = admit(user, request, scope).await?;
    if !turn.is_queued() {
        user.sessions.while_active(session, turn.wait_started()).await??;
    }
    if respond_async && let Some(turn) = turn.view() {
        return Ok(accepted(&turn)?);
    }
    if is_streamed && let Some(reader) = Reader::attach(&turn, 0, &user.sessions, session)? {
        return Ok(turns::stream(user, reader, turn.id())?);
    }
    user.sessions.while_active(session, turn.wait_started()).await??;
    user.sessions.while_active(session, turn.wait_finished()).await?;
    let answer = turn.state().map(|state| state.answer()).ok_or(ErrorCode::Internal)?;
    Ok(reply::json(201, &answer?)?)
}

/// Reads the body: a message, or, where the turn adds none, how to answer.
async fn read_message(request: &Incoming, target: Target) -> Result<SendMessage, Error> {
    let bytes = read_body(request, MAX_BODY_BYTES).await?;
    if target.has_question() {
        return Ok(body::parse(&bytes)?);
    }
    let wishes: AnswerRequest =
        if bytes.is_empty() { AnswerRequest::default() } else { body::parse(&bytes)? };
    Ok(wishes.into())
}

/// Admits a request, and runs its turn where that is new.
async fn admit(user: &Rc<User>, request: TurnRequest, scope: &Scope) -> Result<Rc<LiveTurn>, Error> {
    match user.runner.admit(&request)? {
        Admitted::New(turn) => {
            user.spawn_turn(&turn, request, scope);
            Ok(turn)
        }
        Admitted::Queued(turn) => {
            // The turns before it may be lost with this process, and their alarms with them.
            user.runner.alarm.schedule(heartbeat(request.now), scope).await;
            Ok(turn)
        }
        Admitted::Known(turn) => {
            user.sessions.check(&request.identity, scope).await?;
            user.close_ended_turn(&turn, scope).await;
            Ok(turn)
        }
    }
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
