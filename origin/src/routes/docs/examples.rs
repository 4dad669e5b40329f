//! Examples of answers. A test reads those back that clients read into a type.

use serde_json::{Value, json};

/// Adds the examples to the schemas.
pub(super) fn add(document: &mut Value) {
    for (name, example) in all() {
        let schema = document.pointer_mut(&format!("/components/schemas/{name}"));
        if let Some(schema) = schema.and_then(Value::as_object_mut) {
            schema.insert("example".to_owned(), example);
        }
    }
}

fn all() -> [(&'static str, Value); 20] {
    [
        ("User", user()),
        ("Tokens", tokens()),
        ("SessionPage", json!({"items": [session()], "next_cursor": null})),
        ("AccountEvent", account_event()),
        ("AccountEventPage", json!({"items": [account_event()], "next_cursor": null})),
        ("Consent", consent()),
        ("Consents", json!({"items": [consent()]})),
        ("Passkey", passkey()),
        ("Passkeys", json!({"items": [passkey()]})),
        ("PasskeyOptions", passkey_options()),
        ("Conversation", conversation()),
        ("ConversationPage", json!({"items": [conversation()], "next_cursor": null})),
        ("Message", answer()),
        ("MessagePage", json!({"items": [question(), answer()], "next_cursor": "bWVzc2FnZXN8Mg"})),
        ("SentMessage", sent()),
        ("Turn", turn()),
        ("TurnEvent", json!({"id": 2, "event": "message.delta", "data": {"text": "Hi"}})),
        ("UsageReport", report()),
        ("Readiness", readiness()),
        (
            "TokenAnswer",
            json!({
                "access_token": "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
                "refresh_token": "rt_dGhlIG5leHQgb25l",
                "token_type": "bearer",
                "expires_in": 900,
                "scope": "api",
            }),
        ),
    ]
}

const USER: &str = "019aa5d2-8c00-7000-8000-0c1d2e3f4a5b";
const SESSION: &str = "019aa5d2-8c00-7000-8000-1a2b3c4d5e6f";
const EVENT: &str = "019aa5d2-8c00-7000-8000-2b3c4d5e6f70";
const CONVERSATION: &str = "019aa5d2-8c00-7000-8000-3f6d2b1c9e77";
const TURN: &str = "019aa5d2-9000-7000-8000-5b4a39281706";
const QUESTION: &str = "019aa5d2-9000-7000-8000-6c5b4a392817";
const ANSWER: &str = "019aa5d2-9000-7000-8000-7d6c5b4a3928";
const ASKED_AT: &str = "2026-11-21T09:30:00.007Z";
const ANSWERED_AT: &str = "2026-11-21T09:30:02.500Z";

fn user() -> Value {
    json!({
        "id": USER,
        "email": "ada@example.com",
        "email_verified": false,
        "phone": null,
        "phone_verified": false,
        "display_name": "Ada",
        "avatar_url": null,
        "locale": null,
        "timezone": null,
        "plan": "basic",
        "created_at": ASKED_AT,
        "guest": false,
    })
}

fn tokens() -> Value {
    json!({
        "access_token": "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
        "refresh_token": "rt_dGhlIG5leHQgb25l",
        "token_type": "bearer",
        "expires_in": 900,
        "refresh_expires_in": 604_800,
        "session_id": SESSION,
        "user": user(),
    })
}

fn session() -> Value {
    json!({
        "id": SESSION,
        "device_name": "Ada's phone",
        "platform": "ios",
        "ip": "203.0.113.7",
        "current": true,
        "created_at": ASKED_AT,
        "last_used_at": ANSWERED_AT,
        "expires_at": "2026-11-28T09:30:02.500Z",
    })
}

fn passkey() -> Value {
    json!({
        "id": "019aa5d2-9000-7000-8000-0a1b2c3d4e5f",
        "name": "Ada's phone",
        "backed_up": true,
        "created_at": ASKED_AT,
        "last_used_at": null,
    })
}

fn passkey_options() -> Value {
    json!({
        "challenge_id": "019aa5d2-9000-7000-8000-9f8e7d6c5b4a",
        "expires_in": 300,
        "public_key": {
            "challenge": "9S9A8sVvPLJXPB3oQKBnyOUFjEvHp4xS1vZkCqTsIqI",
            "timeout": 300_000,
            "rpId": "example.com",
            "allowCredentials": [],
            "userVerification": "required",
        },
    })
}

fn account_event() -> Value {
    json!({
        "id": EVENT,
        "kind": "signed_in",
        "at": ASKED_AT,
        "session_id": SESSION,
        "ip": "203.0.113.7",
        "device_name": "Ada's phone",
        "request_id": "019aa5d2-8c00-7000-8000-3f6d2b1c9e77",
    })
}

fn consent() -> Value {
    json!({
        "document": "terms",
        "version": "2026-10-01",
        "accepted_at": ASKED_AT,
        "required": true,
        "current_version": "2026-10-01",
    })
}

fn conversation() -> Value {
    json!({
        "id": CONVERSATION,
        "title": "Rust",
        "model": "fast",
        "system": null,
        "pinned": false,
        "archived": false,
        "head_id": ANSWER,
        "message_count": 2,
        "last_message_preview": "Hi! How can I help?",
        "last_message_at": ANSWERED_AT,
        "created_at": ASKED_AT,
        "updated_at": ANSWERED_AT,
        "messages_deleted_at": null,
        "deleted_at": null,
    })
}

fn question() -> Value {
    json!({
        "id": QUESTION,
        "conversation_id": CONVERSATION,
        "turn_id": TURN,
        "parent_id": null,
        "siblings": [QUESTION],
        "seq": 1,
        "role": "user",
        "content": "Hello",
        "parts": [{"type": "text", "text": "Hello"}],
        "status": "completed",
        "finish_reason": null,
        "model": null,
        "usage": null,
        "tool_calls": [],
        "created_at": ASKED_AT,
        "updated_at": ASKED_AT,
    })
}

fn answer() -> Value {
    json!({
        "id": ANSWER,
        "conversation_id": CONVERSATION,
        "turn_id": TURN,
        "parent_id": QUESTION,
        "siblings": [ANSWER],
        "seq": 2,
        "role": "assistant",
        "content": "Hi! How can I help?",
        "parts": [{"type": "text", "text": "Hi! How can I help?"}],
        "status": "completed",
        "finish_reason": "stop",
        "model": "fast",
        "usage": used(),
        "tool_calls": [],
        "created_at": ASKED_AT,
        "updated_at": ANSWERED_AT,
    })
}

fn used() -> Value {
    json!({
        "input_tokens": 12,
        "output_tokens": 7,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "total_tokens": 19,
        "estimated": false,
    })
}

fn sent() -> Value {
    json!({
        "turn_id": TURN,
        "status": "completed",
        "user_message": question(),
        "assistant_message": answer(),
        "usage": used(),
        "persisted": true,
    })
}

fn turn() -> Value {
    json!({
        "id": TURN,
        "conversation_id": CONVERSATION,
        "status": "running",
        "model": "fast",
        "text": "Hi! How",
        "last_event_id": 3,
        "user_message_id": QUESTION,
        "assistant_message_id": ANSWER,
        "usage": null,
        "error": null,
        "persisted": false,
        "created_at": ASKED_AT,
        "finished_at": null,
    })
}

fn report() -> Value {
    let totals = json!({
        "requests": 1,
        "messages": 1,
        "input_tokens": 12,
        "output_tokens": 7,
        "cached_tokens": 0,
        "cost_usd": 0.0,
        "errors": 0,
        "estimated": 0,
    });
    let of = |name: &str, value: &str| {
        let mut row = totals.clone();
        if let Some(row) = row.as_object_mut() {
            row.insert(name.to_owned(), value.into());
        }
        row
    };
    json!({
        "from": "2026-11-01T00:00:00.000Z",
        "to": "2026-12-01T00:00:00.000Z",
        "totals": totals,
        "today": {"messages": 1, "messages_limit": 5, "resets_at": "2026-11-22T00:00:00.000Z"},
        "by_day": [of("day", "2026-11-21")],
        "by_model": [of("model", "fast")],
    })
}

fn readiness() -> Value {
    let check = |backend: &str| json!({"status": "ok", "backend": backend, "latency_ms": 0.4, "error": null});
    json!({
        "status": "ok",
        "checks": {"accounts": check("sqlite"), "chats": check("sqlite"), "ephemeral": check("memory")},
    })
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use shared::api::{
        account::{
            AccountEvent, Consent, Consents, Passkey, PasskeyOptions, Passkeys, Session, Tokens, User,
        },
        chat::{Conversation, Message, SentMessage, Turn},
        health::Readiness,
        page::Page,
        usage::UsageReport,
    };

    use super::*;

    /// Checks that an example is the same after decoding and encoding.
    fn reads<T: DeserializeOwned + serde::Serialize>(name: &str) {
        let (_, example) = all().into_iter().find(|(known, _)| *known == name).unwrap();
        let read: T = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), example);
    }

    #[test]
    fn example_matches_sent_response() {
        reads::<User>("User");
        reads::<Tokens>("Tokens");
        reads::<Page<Session>>("SessionPage");
        reads::<AccountEvent>("AccountEvent");
        reads::<Page<AccountEvent>>("AccountEventPage");
        reads::<Consent>("Consent");
        reads::<Consents>("Consents");
        reads::<Passkey>("Passkey");
        reads::<Passkeys>("Passkeys");
        reads::<PasskeyOptions>("PasskeyOptions");
        reads::<Conversation>("Conversation");
        reads::<Page<Conversation>>("ConversationPage");
        reads::<Message>("Message");
        reads::<Page<Message>>("MessagePage");
        reads::<SentMessage>("SentMessage");
        reads::<Turn>("Turn");
        reads::<UsageReport>("UsageReport");
        reads::<Readiness>("Readiness");
    }
}
