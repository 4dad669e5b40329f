//! `chat/turns/{id}`, its events, and Stop.

use std::rc::Rc;

use shared::{
    api::{
        ErrorCode,
        chat::Turn,
        internal::{StoredTurn, turn_path},
    },
    chat::replay,
    http::accept,
    id::Id,
    sse,
};
use wasm_bindgen_futures::spawn_local;
use worker::{Response, ResponseBuilder, Url};

use crate::{
    log::Scope,
    platform::{Incoming, Outlet},
    reply::{self, Error},
    user::{
        Identity,
        live_turn::{LiveTurn, Reader},
        object::User,
    },
};

/// `GET chat/turns/{id}`.
pub async fn show(user: &User, turn: Id, identity: &Identity, scope: &Scope) -> Result<Turn, Error> {
    if let Some(turn) = user.find_turn(turn, scope).await? {
        user.sessions.check(identity, scope).await?;
        started_or_queued(user, &turn, identity.session_id).await?;
        return turn.view().ok_or(ErrorCode::NotFound.into());
    }
    Ok(replay::stored_view(stored(user, turn, identity, scope).await?))
}

/// `GET chat/turns/{id}/events`.
pub async fn events(
    user: &User,
    turn: Id,
    cursor: u64,
    identity: &Identity,
    scope: &Scope,
) -> Result<Response, Error> {
    if let Some(live) = user.find_turn(turn, scope).await? {
        user.sessions.check(identity, scope).await?;
        let session = identity.session_id;
        started_or_queued(user, &live, session).await?;
        return match Reader::attach(&live, cursor, &user.sessions, session)? {
            Some(reader) => Ok(stream(user, reader, turn)?),
            None => Ok(no_content()),
        };
    }
    let stored = stored(user, turn, identity, scope).await?;
    let Some(events) = replay::stored_events(&stored, cursor) else {
        return Ok(no_content());
    };
    let mut body = sse::opening();
    body.extend_from_slice(&events);
    Ok(reply::events(&[("Location", &location(turn))])?.fixed(body))
}

/// `POST chat/turns/{id}/cancel`: ends the turn at once; its text so far stays. One that waits leaves the queue. The response waits
/// until the end is stored, so that a restart cannot give it another outcome.
pub async fn cancel(user: &User, turn: Id, identity: &Identity, scope: &Scope) -> Result<Turn, Error> {
    if let Some(turn) = user.turns.find(turn)? {
        user.sessions.check(identity, scope).await?;
        started_or_queued(user, &turn, identity.session_id).await?;
        user.runner.stop(&turn, &scope.with_turn(turn.id()));
    }
    show(user, turn, identity, scope).await
}

/// Waits until a turn has started, unless it waits for others.
async fn started_or_queued(user: &User, turn: &LiveTurn, session: Id) -> Result<(), Error> {
    if !turn.is_queued() {
        user.sessions.while_active(session, turn.wait_started()).await??;
    }
    Ok(())
}

/// Gets a turn that is no longer here, as the origin stored it.
async fn stored(user: &User, turn: Id, identity: &Identity, scope: &Scope) -> Result<StoredTurn, Error> {
    user.sessions.get(&turn_path(turn), identity, scope).await
}

/// Returns a turn's events from a reader on. One that stalls is dropped, and resumes by the id of its last event.
pub fn stream(user: &User, reader: Reader, turn: Id) -> worker::Result<Response> {
    let outlet = Outlet::new();
    let response = reply::events(&[("Location", &location(turn))])?.stream(outlet.stream());
    spawn_local(outlet.pour(reader, Rc::clone(&user.runner.ticker), user.runner.config.stream_stall_ms));
    Ok(response)
}

/// Makes the response to a reader that has all events of an ended turn: an EventSource stops on it, and would reconnect after
/// any other (WHATWG HTML, section 9.2).
pub fn no_content() -> Response {
    ResponseBuilder::new().with_status(204).empty()
}

/// Returns the path of a turn.
pub fn location(turn: Id) -> String {
    format!("/api/v1/chat/turns/{turn}")
}

/// Reads the id of the last event that a reader has.
///
/// # Errors
/// Fails with [`ErrorCode::InvalidRequest`] when it is no number.
pub fn event_cursor(request: &Incoming) -> Result<u64, Error> {
    let url = Url::parse(&request.url).map_err(worker::Error::from)?;
    let after = url.query_pairs().find(|(name, _)| name == "after").map(|(_, value)| value.into_owned());
    Ok(accept::event_cursor(request.header("Last-Event-ID"), after.as_deref())?)
}
