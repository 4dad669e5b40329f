//! The operations that the Worker serves itself, for the document alone: clients see one API and one document of it.

use serde_json::json;
use shared::{
    api::{
        Problem,
        chat::{SendMessage, SentMessage, Turn},
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
        request_body::RequestBodyBuilder,
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
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

fn describe(operation: UserOperation) -> Operation {
    let operation = match operation {
        UserOperation::SendMessage => send_message(),
        UserOperation::Turn => turn(),
        UserOperation::TurnEvents => turn_events(),
        UserOperation::CancelTurn => cancel_turn(),
    };
    operation.tag("chat").security(SecurityRequirement::new("bearer", Vec::<String>::new())).build()
}

fn send_message() -> OperationBuilder {
    let body = ContentBuilder::new()
        .schema(Some(reference::<SendMessage>()))
        .example(Some(json!({"content": "Hello", "stream": false})))
        .build();
    let request = RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, body).build();
    let answer = |description| {
        response(description).content(JSON, of::<SentMessage>()).content(EVENTS, of::<TurnEvent>())
    };
    operation("send_message", "Send a message", SEND_MESSAGE)
        .parameter(id("The conversation"))
        .parameter(optional::<String>(
            ParameterIn::Header,
            "Idempotency-Key",
            "Your name for this message: 1 to 255 visible ASCII characters",
        ))
        .parameter(optional::<String>(
            ParameterIn::Header,
            "Prefer",
            "`respond-async`: answer with the turn as soon as it runs",
        ))
        .request_body(Some(request))
        .response("200", answer("The answer as a stream of events"))
        .response("201", answer("The answer, whole, after the model has come to its end"))
        .response("202", response("The turn runs on; `Location` names it").content(JSON, of::<Turn>()))
        .response(
            "403",
            response("`consent_required`: `errors` names the documents that the user is to agree to first"),
        )
        .response("406", response("`not_acceptable`: neither JSON nor a stream of events is accepted"))
        .response("409", response("`turn_running`: another answer is still running in this conversation"))
        .response("502", response("`provider_error` or `provider_refused`"))
        .response("504", response("`provider_timeout`"))
}

const SEND_MESSAGE: &str = "\
With `Accept: text/event-stream` or `stream: true` the answer is a stream of server-sent events: `turn.started`,
`message.delta`, `message.completed` and one of `turn.completed`, `turn.incomplete`, `turn.cancelled`, `turn.failed`,
`turn.interrupted`; their ids count from 1. The `code` of the last one says why an answer is not whole; one that broke off keeps its
words. With `Prefer: respond-async` it is a 202 with the turn's `Location`. The same
`Idempotency-Key` (or `client_message_id`) is the same turn, however often it is sent. A body has at most 1 MiB: shrink a
picture before it is sent, for example to 1536 pixels on its longest side as JPEG of quality 80.";

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
    add::<SentMessage>(&mut schemas);
    add::<Turn>(&mut schemas);
    add::<TurnEvent>(&mut schemas);
    let mut components = Components::new();
    components.schemas.extend(schemas);
    components
}
