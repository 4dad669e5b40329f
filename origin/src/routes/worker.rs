//! What the Worker serves itself, for the document alone: clients see one API and one document of it.

use shared::{
    api::{
        Problem,
        chat::{SendMessage, SentMessage, Turn},
    },
    id::Id,
};
use utoipa::OpenApi;

use super::docs::events::TurnEvent;

/// The document of the Worker's routes.
#[derive(OpenApi)]
#[openapi(paths(send_message, turn, turn_events, cancel_turn), components(schemas(Problem)))]
pub(super) struct WorkerRoutes;

/// Send a message
///
/// With `Accept: text/event-stream` or `stream: true` the answer is a stream of server-sent events: `turn.started`,
/// `message.delta`, `message.completed` and one of `turn.completed`, `turn.incomplete`, `turn.cancelled`, `turn.failed`,
/// `turn.interrupted`; their ids count from 1. With `Prefer: respond-async` it is a 202 with the turn's `Location`. The same
/// `Idempotency-Key` (or `client_message_id`) is the same turn, however often it is sent. A body has at most 1 MiB: shrink a
/// picture before it is sent, for example to 1536 pixels on its longest side as JPEG of quality 80.
#[utoipa::path(
    post,
    path = "/api/v1/chat/conversations/{id}/messages",
    operation_id = "send_message",
    tag = "chat",
    security(("bearer" = [])),
    params(
        ("id" = Id, Path, description = "The conversation"),
        ("Idempotency-Key" = Option<String>, Header, description = "Your name for this message: 1 to 255 visible ASCII characters"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answer with the turn as soon as it runs"),
    ),
    request_body(content = SendMessage, example = json!({"content": "Hello", "stream": false})),
    responses(
        (
            status = 200,
            description = "The answer as a stream of events",
            content((SentMessage = "application/json"), (TurnEvent = "text/event-stream")),
        ),
        (
            status = 201,
            description = "The answer, whole, after the model has come to its end",
            content((SentMessage = "application/json"), (TurnEvent = "text/event-stream")),
        ),
        (status = 202, description = "The turn runs on; `Location` names it", body = Turn),
        (status = 406, description = "`not_acceptable`: neither JSON nor a stream of events is accepted"),
        (status = 409, description = "`turn_running`: another answer is still running in this conversation"),
        (status = 502, description = "`provider_error` or `provider_refused`"),
        (status = 504, description = "`provider_timeout`"),
    ),
)]
#[expect(dead_code, reason = "it stands for its description only")]
fn send_message() {}

/// Show a turn
///
/// How far it has come, with the text so far. A turn that has ended is shown for as long as its conversation is there.
#[utoipa::path(
    get,
    path = "/api/v1/chat/turns/{id}",
    operation_id = "show_turn",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The turn")),
    responses((status = 200, description = "The turn", body = Turn)),
)]
#[expect(dead_code, reason = "it stands for its description only")]
fn turn() {}

/// Follow the events of a turn
///
/// First those that came already, after the given one; then those to come, until the turn ends. A reader that has the last
/// event of a turn that ended gets a 204, which stops a browser's `EventSource`.
#[utoipa::path(
    get,
    path = "/api/v1/chat/turns/{id}/events",
    operation_id = "follow_turn",
    tag = "chat",
    security(("bearer" = [])),
    params(
        ("id" = Id, Path, description = "The turn"),
        ("after" = Option<u64>, Query, description = "Only events after the one with this id"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The same, as browsers send it"),
    ),
    responses(
        (status = 200, description = "A stream of events", body = TurnEvent, content_type = "text/event-stream"),
        (status = 204, description = "The turn has ended, and every event is known"),
    ),
)]
#[expect(dead_code, reason = "it stands for its description only")]
fn turn_events() {}

/// Stop a turn
///
/// The words so far stay. A turn that has ended stays as it ended.
#[utoipa::path(
    post,
    path = "/api/v1/chat/turns/{id}/cancel",
    operation_id = "cancel_turn",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The turn")),
    responses((status = 202, description = "The turn, which ends now", body = Turn)),
)]
#[expect(dead_code, reason = "it stands for its description only")]
fn cancel_turn() {}
