//! The events of a stream. The media type has no schema of its own in OpenAPI 3.1: the schema describes one event by its
//! fields `id`, `event` and `data` (JSON).

use serde_json::{Map, Value, json};
use shared::chat::event::{Completed, Delta, Ended, Reset, Started, Whole};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema},
};

/// Stands for the union of all events in the routes' descriptions.
pub(in crate::routes) struct TurnEvent;

impl PartialSchema for TurnEvent {
    fn schema() -> RefOr<Schema> {
        RefOr::Ref(Ref::from_schema_name("TurnEvent"))
    }
}

impl ToSchema for TurnEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        fn with<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            schemas.push((T::name().into_owned(), T::schema()));
            T::schemas(schemas);
        }
        with::<Started<'_>>(schemas);
        with::<Delta<'_>>(schemas);
        with::<Whole<'_>>(schemas);
        with::<Completed>(schemas);
        with::<Ended<'_>>(schemas);
        with::<Reset<'_>>(schemas);
    }
}

/// Every event: its type, its schema's name, its data's schema, and when it comes.
const EVENTS: [(&str, &str, &str, &str); 9] = [
    (
        "turn.started",
        "TurnStartedEvent",
        "TurnStarted",
        "The turn was taken on. Always the first, with id 1.",
    ),
    ("message.delta", "MessageDeltaEvent", "MessageDelta", "More words of the answer."),
    ("message.completed", "MessageCompletedEvent", "MessageCompleted", "The answer as a message."),
    ("turn.completed", "TurnCompletedEvent", "TurnCompleted", "The model came to its end. The last event."),
    ("turn.incomplete", "TurnIncompleteEvent", "TurnEnded", "The answer was cut short. The last event."),
    ("turn.cancelled", "TurnCancelledEvent", "TurnEnded", "The user stopped the turn. The last event."),
    ("turn.failed", "TurnFailedEvent", "TurnEnded", "The model provider failed. The last event."),
    ("turn.interrupted", "TurnInterruptedEvent", "TurnEnded", "Our side was restarted. The last event."),
    ("reset", "ResetEvent", "Reset", "Replaces all text before it; the stream goes on."),
];

/// Adds the events to the schemas.
pub(super) fn add(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else {
        return;
    };
    let reference = |name: &str| format!("#/components/schemas/{name}");
    let mut union = Vec::new();
    let mut mapping = Map::new();
    for (event, name, data, description) in EVENTS {
        let schema = json!({
            "type": "object",
            "description": description,
            "required": ["id", "event", "data"],
            "properties": {
                "id": {"type": "integer", "format": "int64", "minimum": 1, "description": "Counts from 1 in a turn."},
                "event": {"type": "string", "enum": [event], "description": "The type."},
                "data": {"$ref": reference(data)},
            },
        });
        schemas.insert(name.to_owned(), schema);
        union.push(json!({"$ref": reference(name)}));
        mapping.insert(event.to_owned(), reference(name).into());
    }
    let description = "One server-sent event of a turn: its fields, with `data` as the JSON that it is. Lines that begin \
        with a colon keep the connection open and say nothing.";
    let union = json!({
        "description": description,
        "oneOf": union,
        "discriminator": {"propertyName": "event", "mapping": mapping},
    });
    schemas.insert("TurnEvent".to_owned(), union);
}
