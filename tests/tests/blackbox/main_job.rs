//! Tests of the main job, end to end, and of the wire format of its objects.

use edgechat_tests::{
    client::{PASSWORD, content, messages_path, text_of, turn_path},
    provider::{Script, call::USAGE},
    test_env::{EDGE_KEY, GEMINI_API_KEY, JWT_SECRET, TestEnv},
    wait::bounded,
};
use serde_json::{Value, json};
use shared::{
    api::{
        ErrorCode,
        account::Tokens,
        chat::{Conversation, FinishReason, Message, Role, SentMessage, TurnStatus},
        models,
        page::Page,
    },
    provider::{ChatMessage, Role as Speaker},
};

#[tokio::test]
async fn message_is_answered_stored_and_counted() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces(["Good ", "morning."]));

    let sent = phone.send_and_persist(conversation, "Hello there").await;
    assert_eq!(sent.status, TurnStatus::Completed);
    assert_eq!(sent.usage, Some(USAGE));
    let question = sent.user_message.unwrap();
    let Message { role, status, seq, content, finish_reason, usage, turn_id, parent_id, .. } =
        &sent.assistant_message;
    assert_eq!(
        (*role, *status, *seq, content.as_str()),
        (Role::Assistant, TurnStatus::Completed, 2, "Good morning.")
    );
    assert_eq!((*finish_reason, *usage, *turn_id), (Some(FinishReason::Stop), Some(USAGE), sent.turn_id));
    assert_eq!(*parent_id, Some(question.id));
    assert_eq!((question.content.as_str(), question.seq), ("Hello there", 1));

    assert_eq!(phone.messages(conversation).await, [question, sent.assistant_message]);

    let listed: Page<Conversation> =
        phone.client.get("/api/v1/chat/conversations").send().await.expect_status(200).json();
    assert_eq!(listed.items.len(), 1);
    assert_eq!((listed.items[0].id, listed.items[0].message_count), (conversation, 2));
    assert_eq!(listed.items[0].last_message_preview.as_deref(), Some("Good morning."));

    let report = phone.usage().await;
    assert_eq!((report.totals.requests, report.totals.messages, report.totals.errors), (1, 1, 0));
    assert_eq!(
        (report.totals.input_tokens, report.totals.output_tokens),
        (USAGE.input_tokens, USAGE.output_tokens)
    );
    assert_eq!(report.totals.cached_tokens, USAGE.cached_tokens);
    assert_eq!(report.today.messages, 1);
    assert_eq!((report.by_day.len(), report.by_model.len()), (1, 1));
    assert_eq!((report.by_model[0].model.as_str(), report.by_model[0].totals.requests), ("fast", 1));

    let received = env.provider.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].model, models::resolve("fast").unwrap().model);
    assert_eq!(received[0].api_key, GEMINI_API_KEY);
    assert_eq!(received[0].request.messages, [ChatMessage::text(Speaker::User, "Hello there")]);
    assert!(
        !received[0].headers.contains_key("authorization"),
        "the user's token is none of the provider's business"
    );
}

#[tokio::test]
async fn streamed_message_sends_all_events() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces(["Good ", "morning", "."]));

    let stream = phone.stream(conversation, "Hello there").await;
    assert_eq!(stream.header("cache-control"), Some("no-store, no-transform"));
    assert!(stream.header("x-request-id").is_some());
    let events = stream.rest().await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    let deltas = vec!["message.delta"; kinds.len() - 3];
    assert_eq!(kinds, [&["turn.started"][..], &deltas, &["message.completed", "turn.completed"]].concat());
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(text_of(&events), "Good morning.");

    let (started, whole, ended) = (&events[0], &events[events.len() - 2], &events[events.len() - 1]);
    assert_eq!(started.data["conversation_id"], json!(conversation));
    assert_eq!(started.data["model"], "fast");
    assert_eq!(ended.data["turn_id"], started.data["turn_id"]);
    assert_eq!(ended.data["finish_reason"], "stop");
    assert_eq!(ended.data["usage"], json!(USAGE));
    assert!(ended.data["persisted"].is_boolean());

    phone.persisted(started.turn_id()).await;
    let messages = phone.messages(conversation).await;
    assert_eq!(messages.len(), 2);
    assert_eq!(json!(messages[0].id), started.data["user_message_id"]);
    assert_eq!(json!(messages[1].id), started.data["assistant_message_id"]);
    assert_eq!(json!(messages[1]), whole.data["message"]);
    assert_eq!(phone.usage().await.totals.requests, 1);
}

#[tokio::test]
async fn terminal_event_reports_persisted() {
    /// The number of attempts: on a busy machine the origin may store a turn too late for its terminal event to say so.
    const TURNS: usize = 3;
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let (mut streamed, mut whole) = (false, false);
    for _ in 0..TURNS {
        let events = phone.stream_and_persist(conversation, "Hello there").await;
        streamed |= events.last().unwrap().data["persisted"] == true;
        whole |= phone.send_and_persist(conversation, "Hello again").await.persisted;
        if streamed && whole {
            break;
        }
    }
    assert!(streamed && whole, "the origin is up: streamed {streamed}, whole {whole}");
}

#[tokio::test]
async fn conversation_history_is_sent_to_model() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let body = json!({ "title": "Tides", "system": "Speak like a sailor.", "model": "lite" });
    let made = phone.client.post("/api/v1/chat/conversations").json(&body).send().await.expect_status(201);
    let conversation = made.json::<Conversation>().id;

    env.provider.will(Script::pieces(["Aye."]));
    phone.send_and_persist(conversation, "First").await;
    env.provider.will(Script::pieces(["Aye aye."]));
    let second = phone.send_and_persist(conversation, "Second").await;
    assert_eq!((second.user_message.as_ref().unwrap().seq, second.assistant_message.seq), (3, 4));

    // The prompt is the same from the cached context and from the origin.
    env.kill_workerd().await;
    env.start_workerd().await;
    let third = phone.send_message(conversation, "Third").await;
    let third = third.user_message.unwrap();
    assert_eq!(third.seq, 5);
    assert_eq!(third.parent_id, Some(second.assistant_message.id));

    let request = &env.provider.received()[2].request;
    assert_eq!(request.system.as_deref(), Some("Speak like a sailor."));
    let said = [("First", "Aye."), ("Second", "Aye aye.")];
    let mut expected: Vec<_> = said
        .into_iter()
        .flat_map(|(user, model)| {
            [ChatMessage::text(Speaker::User, user), ChatMessage::text(Speaker::Model, model)]
        })
        .collect();
    expected.push(ChatMessage::text(Speaker::User, "Third"));
    assert_eq!(request.messages, expected);
    let model = models::resolve("lite").unwrap().model;
    assert!(env.provider.received().iter().all(|received| received.model == model));
}

#[tokio::test]
async fn message_sets_model_and_parameters() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let body = json!({
        "content": [
            { "type": "text", "text": "What is this?" },
            { "type": "image", "mime_type": "image/png", "data": "iVBORw0KGgo=" },
        ],
        "model": "gemini-2.5-flash-lite", "temperature": 0.5, "max_output_tokens": 7,
        "response_format": { "type": "json" }, "a_field_of_tomorrow": true,
    });
    let sent: SentMessage = phone.message(conversation, &body).send().await.expect_status(201).json();
    let received = &env.provider.received()[0];
    assert_eq!(received.model, "gemini-2.5-flash-lite");
    let asked: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(asked["generationConfig"]["temperature"], 0.5);
    assert_eq!(asked["generationConfig"]["maxOutputTokens"], 7);
    assert_eq!(asked["generationConfig"]["responseMimeType"], "application/json");
    assert_eq!(asked["contents"][0]["parts"][1]["inlineData"]["data"], "iVBORw0KGgo=");
    phone.persisted(sent.turn_id).await;
    assert_eq!(phone.messages(conversation).await[0].parts.len(), 2);
}

#[tokio::test]
async fn conversation_is_listed_changed_and_deleted() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let (first, second) = (phone.conversation().await, phone.conversation().await);
    let path = |id| format!("/api/v1/chat/conversations/{id}");
    let patch = phone
        .client
        .ask(reqwest::Method::PATCH, &path(first))
        .json(&json!({ "title": "Tides", "pinned": true }));
    let changed: Conversation = patch.send().await.expect_status(200).json();
    assert_eq!((changed.title.as_deref(), changed.pinned), (Some("Tides"), true));
    let read: Conversation = phone.client.get(&path(first)).send().await.expect_status(200).json();
    assert_eq!(read, changed);

    phone.send_and_persist(second, "Hello").await;
    let gone = phone.client.ask(reqwest::Method::DELETE, &path(second)).send().await.expect_status(204);
    assert!(gone.body.is_empty());
    for path in [path(second), messages_path(second)] {
        phone.client.get(&path).send().await.problem(ErrorCode::NotFound);
    }
    let refused = phone.message(second, &content("Are you there?")).send().await;
    refused.problem(ErrorCode::NotFound);
    let list: Page<Conversation> =
        phone.client.get("/api/v1/chat/conversations?limit=1").send().await.expect_status(200).json();
    assert_eq!((list.items.len(), list.next_cursor), (1, None));
}

#[tokio::test]
async fn changed_conversation_applies_to_next_message() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "First").await;
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let body = json!({ "system": "Rhyme.", "model": "smart" });
    let _ = phone.client.ask(reqwest::Method::PATCH, &path).json(&body).send().await.expect_status(200);
    phone.send_message(conversation, "Second").await;
    let second = &env.provider.received()[1];
    assert_eq!(second.request.system.as_deref(), Some("Rhyme."));
    assert_eq!(second.model, models::resolve("smart").unwrap().model);
    assert_eq!(second.request.messages.len(), 3);
}

#[tokio::test]
async fn deleted_conversation_cancels_its_turn() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let (mut stream, mut call) = tokio::join!(phone.stream(conversation, "Hello"), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    let path = format!("/api/v1/chat/conversations/{conversation}");
    let _ = phone.client.ask(reqwest::Method::DELETE, &path).send().await.expect_status(204);
    bounded("the call of the provider to be given up", call.gone()).await;
    assert_eq!(stream.rest().await.last().unwrap().kind, "turn.cancelled");
    phone.client.get(&messages_path(conversation)).send().await.problem(ErrorCode::NotFound);
    phone.persisted(turn).await;
    assert_eq!(phone.usage().await.today.messages, 1, "a cancelled turn is counted");
}

#[tokio::test]
async fn lists_continue_at_cursor() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    for text in ["One", "Two", "Three"] {
        phone.send_and_persist(conversation, text).await;
    }
    for (order, expected) in [("asc", vec![1, 2, 3, 4, 5, 6]), ("desc", vec![6, 5, 4, 3, 2, 1])] {
        let (mut seqs, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{}?limit=4&order={order}{cursor}", messages_path(conversation));
            let page: Page<Message> = phone.client.get(&path).send().await.expect_status(200).json();
            assert!(page.items.len() <= 4);
            seqs.extend(page.items.iter().map(|message| message.seq));
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seqs, expected, "{order}");
    }
}

#[tokio::test]
async fn sign_in_follows_contract() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let email = phone.tokens.user.email.clone().unwrap();
    let client = env.client();

    let again = json!({ "email": email.to_uppercase(), "password": PASSWORD });
    let taken = client.post("/api/v1/auth/register").json(&again).send().await.problem(ErrorCode::EmailTaken);
    assert_eq!(taken.detail, "Email already registered");

    let login = client.post("/api/v1/auth/login").json(&again).send().await.expect_status(200);
    let tokens: Tokens = login.json();
    assert_eq!(tokens.user, phone.tokens.user);
    assert_ne!(tokens.session_id, phone.tokens.session_id);

    let unknown = json!({ "email": "nobody@example.com", "password": PASSWORD });
    let wrong = json!({ "email": email, "password": "wrong horse battery" });
    for body in [unknown, wrong] {
        let refused = client.post("/api/v1/auth/login").json(&body).send().await;
        assert_eq!(refused.problem(ErrorCode::InvalidCredentials).detail, "Invalid email or password");
    }

    let refresh = json!({ "refresh_token": tokens.refresh_token });
    let next: Tokens =
        client.post("/api/v1/auth/refresh").json(&refresh).send().await.expect_status(200).json();
    assert_ne!(next.refresh_token, tokens.refresh_token);
    assert_eq!(next.session_id, tokens.session_id);
    for path in ["/api/v1/auth/me", "/api/v1/users/me"] {
        let me = client.with_token(&next.access_token).get(path).send().await.expect_status(200);
        assert_eq!(me.value(), json!(phone.tokens.user));
    }
}

/// Asserts that each field of the contract is present, `null` or not.
fn has_fields(object: &Value, fields: &str) {
    for field in fields.split_whitespace() {
        assert!(object.get(field).is_some(), "{field} is missing in {object}");
    }
}

#[tokio::test]
async fn objects_have_all_contract_fields() {
    const TURN: &str = "id conversation_id status model text last_event_id user_message_id assistant_message_id usage \
                        error persisted created_at finished_at";
    const MESSAGE: &str = "id conversation_id turn_id parent_id siblings seq role content parts status finish_reason model usage \
                           tool_calls created_at updated_at";
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let register = json!({ "email": "wire@example.com", "password": PASSWORD });
    let tokens = env.client().post("/api/v1/auth/register").json(&register).send().await.expect_status(201);
    has_fields(
        &tokens.value(),
        "access_token refresh_token token_type expires_in refresh_expires_in session_id user",
    );
    assert_eq!(tokens.value()["token_type"], "bearer");
    has_fields(
        &tokens.value()["user"],
        "id email email_verified phone phone_verified display_name avatar_url locale timezone plan created_at",
    );

    let made =
        phone.client.post("/api/v1/chat/conversations").json(&json!({})).send().await.expect_status(201);
    has_fields(
        &made.value(),
        "id title model system pinned archived head_id message_count last_message_preview last_message_at created_at \
         updated_at",
    );
    let conversation = made.json::<Conversation>().id;
    let sent = phone.message(conversation, &content("Hello")).send().await.expect_status(201).value();
    has_fields(&sent, "turn_id status user_message assistant_message usage persisted");
    has_fields(&sent["user_message"], MESSAGE);
    has_fields(&sent["assistant_message"], MESSAGE);
    has_fields(
        &sent["usage"],
        "input_tokens output_tokens cached_tokens reasoning_tokens total_tokens estimated",
    );
    let turn = phone.client.get(&turn_path(serde_json::from_value(sent["turn_id"].clone()).unwrap()));
    has_fields(&turn.send().await.expect_status(200).value(), TURN);
    let usage = phone.client.get("/api/v1/usage/me").send().await.expect_status(200).value();
    has_fields(&usage, "from to totals today by_day by_model");
    has_fields(
        &usage["totals"],
        "requests messages input_tokens output_tokens cached_tokens cost_usd errors estimated",
    );
    has_fields(&usage["today"], "messages messages_limit resets_at");
}

#[tokio::test]
async fn logs_contain_no_secrets() {
    const PROMPT: &str = "a-prompt-that-nobody-else-may-read";
    const ANSWER: &str = "an-answer-that-nobody-else-may-read";
    const LAST_REQUEST: &str = "the-last-request";
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    env.provider.will(Script::pieces([ANSWER]));
    phone.send_and_persist(conversation, PROMPT).await;
    let _ = phone.message(conversation, &json!({ "content": PROMPT, "temperature": "hot" })).send().await;
    // A log is written in order: the line of the last request comes after all others. The Worker logs failures only, such as
    // that of a delivery.
    let last = phone.client.get("/api/v1/users/me").header("X-Request-ID", LAST_REQUEST);
    let _ = last.send().await.expect_status(200);
    env.origin_log().wait_for(LAST_REQUEST).await;
    env.kill_origin().await;
    env.provider.will(Script::pieces([ANSWER]));
    let last = phone.message(conversation, &content(PROMPT)).header("X-Request-ID", LAST_REQUEST);
    let _ = last.send().await.expect_status(201);
    env.edge_log().wait_for(LAST_REQUEST).await;
    let tokens = &phone.tokens;
    let secrets = [
        PROMPT,
        ANSWER,
        PASSWORD,
        JWT_SECRET,
        EDGE_KEY,
        GEMINI_API_KEY,
        &tokens.access_token,
        &tokens.refresh_token,
    ];
    for line in env.origin_log().lines().into_iter().chain(env.edge_log().lines()) {
        assert!(!secrets.iter().any(|secret| line.contains(secret)), "{line}");
    }
}
