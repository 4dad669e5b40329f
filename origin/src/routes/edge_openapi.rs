//! The operations that the Worker serves itself, for the document alone: clients see one API and one document of it.

use serde_json::json;
use shared::{
    api::{
        Problem,
        chat::{AnswerRequest, SendMessage, SentMessage, Turn},
        routes::{Method, ROUTES, Server, UserOperation},
    },
    id::Id,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, Content, ContentBuilder, HttpMethod, OpenApi, OpenApiBuilder, PathItem, PathsBuilder,
        Ref, RefOr, Required, ResponseBuilder, Schema,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::{RequestBody, RequestBodyBuilder},
        security::SecurityRequirement,
    },
};

use super::docs::events::TurnEvent;

/// The document of the Worker's operations.
pub(super) fn document() -> OpenApi {
    let paths = ROUTES.iter().fold(PathsBuilder::new(), |paths, route| match route.server {
        Server::UserObject(operation) => {
            paths.path(route.path, PathItem::new(method(route.method), describe(operation)))
        }
        Server::Front | Server::Origin => paths,
    });
    OpenApiBuilder::new().paths(paths.build()).components(Some(components())).build()
}

const fn method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

fn describe(operation: UserOperation) -> Operation {
    let operation = match operation {
        UserOperation::SendMessage => send_message(),
        UserOperation::Regenerate => regenerate(),
        UserOperation::EditMessage => edit_message(),
        UserOperation::Continue => continue_answer(),
        UserOperation::Turn => turn(),
        UserOperation::TurnEvents => turn_events(),
        UserOperation::CancelTurn => cancel_turn(),
    };
    operation.tag("chat").security(SecurityRequirement::new("bearer", Vec::<String>::new())).build()
}

fn send_message() -> OperationBuilder {
    begin_turn("send_message", "Send a message", SEND_MESSAGE).request_body(Some(message()))
}

fn edit_message() -> OperationBuilder {
    about_message("edit_message", "Edit a message", EDIT_MESSAGE).request_body(Some(message()))
}

fn regenerate() -> OperationBuilder {
    about_message("regenerate", "Answer again", REGENERATE).request_body(Some(wishes()))
}

fn continue_answer() -> OperationBuilder {
    about_message("continue_answer", "Continue an answer", CONTINUE).request_body(Some(wishes()))
}

/// The body of a message.
fn message() -> RequestBody {
    let body = ContentBuilder::new()
        .schema(Some(reference::<SendMessage>()))
        .example(Some(json!({"content": "Hello", "stream": false})))
        .build();
    RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, body).build()
}

/// The body of a request that adds no message of the user's.
fn wishes() -> RequestBody {
    let body = ContentBuilder::new()
        .schema(Some(reference::<AnswerRequest>()))
        .example(Some(json!({"model": "fast", "stream": false})))
        .build();
    RequestBodyBuilder::new().required(Some(Required::False)).content(JSON, body).build()
}

fn about_message(id: &str, summary: &str, description: &str) -> OperationBuilder {
    let mid = parameter(ParameterIn::Path, "mid", "A message of it", reference::<Id>());
    begin_turn(id, summary, description).parameter(mid.required(Required::True).build())
}

fn begin_turn(name: &str, summary: &str, description: &str) -> OperationBuilder {
    let answer = |description| {
        response(description).content(JSON, of::<SentMessage>()).content(EVENTS, of::<TurnEvent>())
    };
    operation(name, summary, description)
        .parameter(id("The conversation"))
        .parameter(optional::<String>(
            ParameterIn::Header,
            "Idempotency-Key",
            "Your name for this message: 1 to 255 visible ASCII characters",
        ))
        .parameter(optional::<String>(
            ParameterIn::Header,
            "Prefer",
            "`respond-async`: answer with the turn as soon as it runs or waits",
        ))
        .response("200", answer("The answer as a stream of events"))
        .response("201", answer("The answer, whole, after the model has come to its end"))
        .response(
            "202",
            response("The turn runs on, or waits; `Location` names it").content(JSON, of::<Turn>()),
        )
        .response(
            "403",
            response("`consent_required`: `errors` names the documents that the user is to agree to first"),
        )
        .response("406", response("`not_acceptable`: neither JSON nor a stream of events is accepted"))
        .response(
            "409",
            response(
                "`turn_running`: another answer is still running in this conversation; `conflict`: the message is none \
                 that this can be asked about",
            ),
        )
        .response("502", response("`provider_error` or `provider_refused`"))
        .response("504", response("`provider_timeout`"))
}

const SEND_MESSAGE: &str = "\
With `Accept: text/event-stream` or `stream: true` the answer is a stream of server-sent events: `turn.started`,
`message.delta`, `message.completed` and one of `turn.completed`, `turn.incomplete`, `turn.cancelled`, `turn.failed`,
`turn.interrupted`; their ids count from 1. The `code` of the last one says why an answer is not whole; one that broke off keeps its
words. With `Prefer: respond-async` it is a 202 with the turn's `Location`. The same
`Idempotency-Key` (or `client_message_id`) is the same turn, however often it is sent. A body has at most 1 MiB: shrink a
picture before it is sent, for example to 1536 pixels on its longest side as JPEG of quality 80.

While another answer runs in the conversation the message is refused with 409. With `when_running: \"queue\"` it waits: its turn has
the status `queued`, readers of its events get pings, `POST chat/turns/{id}/cancel` takes it back, and it begins when the turns before
it have ended, in the order in which they came. Eight messages may wait in a conversation, for an hour; one that waited longer ends
as `failed` with `queue_timeout`. What ends in the queue is no part of the conversation, and no message of the day.";

const EDIT_MESSAGE: &str = "\
Puts a new message beside one of the user's, with its own answer: the beginning of a branch, which is shown from then on. The other
branch stays; `PATCH chat/conversations/{id}` with a `head_id` shows it again. It is sent and answered as a message, and counts as one.
A message that is no user's is 409 `conflict`.";

const REGENERATE: &str = "\
Answers a message of the user's once more, beside the earlier answers, whose ids are the `siblings` of the new one. `mid` is the
message or any part of an answer to it: an answer that was continued is answered anew as a whole. The new answer is shown from then on;
`user_message` is `null`, as nothing was said. The body may be absent. It counts as a message.";

const CONTINUE: &str = "\
Goes on with an answer that is `incomplete`, `cancelled` or `interrupted` and has words. The rest is a message of its own, whose
`parent_id` is the answer: a client shows the `content` of an answer and of the assistant's message after it as one text, with nothing
between them. The rest may be continued, too. An answer that has come to its end, has no words, or was stopped by the provider's rules
(`content_filter`, `recitation`) is 409 `conflict`. The body may be absent. It counts as a message.";

fn turn() -> OperationBuilder {
    operation(
        "show_turn",
        "Show a turn",
        "How far it has come, with the text so far. A turn that has ended is shown for as long as its conversation is there.",
    )
    .parameter(id("The turn"))
    .response("200", response("The turn").content(JSON, of::<Turn>()))
}

fn turn_events() -> OperationBuilder {
    operation("follow_turn", "Follow the events of a turn", TURN_EVENTS)
        .parameter(id("The turn"))
        .parameter(optional::<u64>(ParameterIn::Query, "after", "Only events after the one with this id"))
        .parameter(optional::<u64>(ParameterIn::Header, "Last-Event-ID", "The same, as browsers send it"))
        .response("200", response("A stream of events").content(EVENTS, of::<TurnEvent>()))
        .response("204", response("The turn has ended, and every event is known"))
}

const TURN_EVENTS: &str = "\
First those that came already, after the given one; then those to come, until the turn ends. A reader that has the last
event of a turn that ended gets a 204, which stops a browser's `EventSource`. A reader that takes nothing for 45 s is disconnected, and
resumes so.";

fn cancel_turn() -> OperationBuilder {
    operation("cancel_turn", "Stop a turn", "The words so far stay, and so do the tokens, estimated where the provider did not count them. A turn that has ended stays as it ended.")
        .parameter(id("The turn"))
        .response("202", response("The turn, which ends now").content(JSON, of::<Turn>()))
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

fn operation(id: &str, summary: &str, description: &str) -> OperationBuilder {
    OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).description(Some(description))
}

fn id(description: &str) -> Parameter {
    parameter(ParameterIn::Path, "id", description, reference::<Id>()).required(Required::True).build()
}

fn optional<T: PartialSchema>(place: ParameterIn, name: &str, description: &str) -> Parameter {
    parameter(place, name, description, T::schema()).required(Required::False).build()
}

fn parameter(
    place: ParameterIn,
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).description(Some(description)).schema(Some(schema))
}

fn response(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description)
}

fn of<T: ToSchema>() -> Content {
    Content::new(Some(reference::<T>()))
}

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

/// The schemas that the operations name, and that of every error.
fn components() -> Components {
    fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
    let mut schemas = Vec::new();
    add::<Problem>(&mut schemas);
    add::<SendMessage>(&mut schemas);
    add::<AnswerRequest>(&mut schemas);
    add::<SentMessage>(&mut schemas);
    add::<Turn>(&mut schemas);
    add::<TurnEvent>(&mut schemas);
    let mut components = Components::new();
    components.schemas.extend(schemas);
    components
}
