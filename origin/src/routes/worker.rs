//! What the Worker serves itself, for the document alone: clients see one API and one document of it.

use shared::{
    api::{
        Problem,
        chat::{SendMessage, SentMessage, Turn},
    },
    id::Id,
};
use utoipa::OpenApi;

/// The document of the Worker's routes.
#[derive(OpenApi)]
#[openapi(paths(send_message, turn, turn_events, cancel_turn))]
pub(super) struct WorkerRoutes;

/// Send a message
///
/// With `Accept: text/event-stream` or `stream: true` the answer is a stream of events: `turn.started`, `message.delta`,
/// `message.completed` and one of `turn.completed`, `turn.incomplete`, `turn.cancelled`, `turn.failed`,
/// `turn.interrupted`; their ids count from 1. With `Prefer: respond-async` it is a 202 with the turn's `Location`. The same
/// `Idempotency-Key` (or `client_message_id`) is the same turn, however often it is sent.
#[utoipa::path(
    post,
    path = "/api/v1/chat/conversations/{id}/messages",
    tag = "chat",
    security(("bearer" = [])),
    params(
        ("id" = Id, Path, description = "The conversation"),
        ("Idempotency-Key" = Option<String>, Header, description = "Your name for this message, 1 to 255 characters"),
    ),
    request_body = SendMessage,
    responses(
        (status = 200, description = "A stream of events", body = String, content_type = "text/event-stream"),
        (status = 201, body = SentMessage),
        (status = 202, description = "The turn runs on; `Location` names it", body = Turn),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`turn_running`", body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 502, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
        (status = 504, body = Problem, content_type = "application/problem+json"),
    ),
)]
#[expect(dead_code, reason = "it stands for its description only")]
fn send_message() {}

/// Show a turn
#[utoipa::path(
    get,
    path = "/api/v1/chat/turns/{id}",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The turn")),
    responses(
        (status = 200, body = Turn),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ),
)]
#[expect(dead_code, reason = "it stands for its description only")]
fn turn() {}

/// Replay and follow the events of a turn
#[utoipa::path(
    get,
    path = "/api/v1/chat/turns/{id}/events",
    tag = "chat",
    security(("bearer" = [])),
    params(
        ("id" = Id, Path, description = "The turn"),
        ("after" = Option<u64>, Query, description = "Only events after this id"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The same, as browsers send it"),
    ),
    responses(
        (status = 200, description = "A stream of events", body = String, content_type = "text/event-stream"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ),
)]
#[expect(dead_code, reason = "it stands for its description only")]
fn turn_events() {}

/// Stop a turn
#[utoipa::path(
    post,
    path = "/api/v1/chat/turns/{id}/cancel",
    tag = "chat",
    security(("bearer" = [])),
    params(("id" = Id, Path, description = "The turn")),
    responses(
        (status = 202, body = Turn),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ),
)]
#[expect(dead_code, reason = "it stands for its description only")]
fn cancel_turn() {}
