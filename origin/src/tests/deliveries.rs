//! Tests of the Worker's deliveries and reads: stored once, counted once, and only for the token's user.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::{
    api::{
        chat::{FinishReason, Message, Part, Role, TurnKind, TurnStatus},
        internal::{TURNS_PATH, TurnDelivery, TurnMessages, context_path, turn_path},
        usage::Usage,
    },
    auth::edge::{EdgeRequest, sha256},
    http::headers::{CLIENT_IP, SIGNATURE, SIGNATURE_ERROR, X_REQUEST_ID},
    id::Id,
    time::DAY_MS,
};

use super::test_env::{Answer, Call, Member, TestEnv, problem};
use crate::clock::Clock as _;

/// The id of the message with this `seq` of a conversation.
pub(super) fn message_id(conversation_id: Id, seq: u64) -> Id {
    let mut bytes = *conversation_id.as_bytes();
    for (byte, of_seq) in bytes.iter_mut().rev().zip(seq.to_le_bytes()).take(6) {
        *byte ^= of_seq;
    }
    Id::from_bytes(bytes)
}

/// Turn `number` of a conversation, which follows the one before it, with `seq` `2 × number + 1` and `+ 2`, begun now and
/// ended half a second later.
pub(super) fn delivery(env: &TestEnv, member: &Member, conversation_id: Id, number: u64) -> TurnDelivery {
    let now = env.clock.now();
    let question = format!("question {number}");
    let parent_id = (number > 0).then(|| message_id(conversation_id, 2 * number));
    let (question_id, answer_id) =
        (message_id(conversation_id, 2 * number + 1), message_id(conversation_id, 2 * number + 2));
    let user_message = Message {
        id: question_id,
        conversation_id,
        turn_id: env.app.random.id(now),
        parent_id,
        siblings: vec![question_id],
        seq: 2 * number + 1,
        role: Role::User,
        content: question.clone(),
        parts: vec![Part::Text { text: question }],
        status: TurnStatus::Completed,
        finish_reason: None,
        model: None,
        usage: None,
        tool_calls: Vec::new(),
        created_at: now,
        updated_at: now,
    };
    let usage = Usage {
        input_tokens: 11,
        output_tokens: 22,
        cached_tokens: 3,
        reasoning_tokens: 4,
        total_tokens: 37,
        estimated: true,
    };
    let answer = format!("answer {number}");
    let assistant_message = Message {
        id: answer_id,
        parent_id: Some(user_message.id),
        siblings: vec![answer_id],
        seq: 2 * number + 2,
        role: Role::Assistant,
        content: answer.clone(),
        parts: vec![Part::Text { text: answer }],
        finish_reason: Some(FinishReason::Stop),
        model: Some("fast".to_owned()),
        usage: Some(usage),
        ..user_message.clone()
    };
    TurnDelivery {
        turn_id: user_message.turn_id,
        user_id: member.id,
        conversation_id,
        kind: TurnKind::Reply,
        status: TurnStatus::Completed,
        model: "fast".to_owned(),
        error: None,
        head_before: parent_id,
        head_id: answer_id,
        messages: TurnMessages::new(vec![user_message, assistant_message]).unwrap(),
        usage,
        last_event_id: 9,
        created_at: now,
        finished_at: now.plus_millis(500),
    }
}

pub(super) fn call(member: &Member, turn: &TurnDelivery) -> Call {
    Call::post(TURNS_PATH).token(&member.access).json(&serde_json::to_value(turn).unwrap())
}

async fn deliver(env: &TestEnv, member: &Member, turn: &TurnDelivery) -> Answer {
    env.send(env.sign(call(member, turn), "203.0.113.7")).await
}

async fn messages(env: &TestEnv, member: &Member, conversation: Id) -> Vec<Value> {
    let path = format!("/api/v1/chat/conversations/{conversation}/messages");
    let answer = env.send(Call::get(path).token(&member.access)).await;
    answer.json()["items"].as_array().unwrap().clone()
}

async fn usage(env: &TestEnv, member: &Member) -> Value {
    env.send(Call::get("/api/v1/usage/me").token(&member.access)).await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_concurrent_deliveries_count_once() {
    let env = Arc::new(TestEnv::new().await);
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let turn = delivery(&env, &ada, conversation, 0);
    let running: Vec<_> = (0..10)
        .map(|_| {
            let (env, ada, turn) = (Arc::clone(&env), ada.clone(), turn.clone());
            tokio::spawn(async move { deliver(&env, &ada, &turn).await })
        })
        .collect();
    for delivery in running {
        let answer = delivery.await.unwrap();
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"conversation_exists": true, "last_seq": 2}))
        );
    }
    let stored = messages(&env, &ada, conversation).await;
    assert_eq!(json!(stored), serde_json::to_value(&turn.messages).unwrap());
    let totals = json!({
        "requests": 1, "messages": 1, "input_tokens": 11, "output_tokens": 22, "cached_tokens": 3, "cost_usd": 0.0,
        "errors": 0, "estimated": 1,
    });
    let report = usage(&env, &ada).await;
    assert_eq!(report["totals"], totals);
    assert_eq!(report["today"]["messages"], 1);
    assert_eq!(
        (&report["by_day"][0]["day"], &report["by_model"][0]["model"]),
        (&json!("2026-11-21"), &json!("fast"))
    );
}

#[tokio::test]
async fn crash_between_stores_is_completed_by_next_delivery() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let turn = delivery(&env, &ada, conversation, 0);
    // The state on disk when the process dies after the first store has the turn.
    env.app.stores.chats.record_turn(turn.clone()).await.unwrap();
    assert_eq!(usage(&env, &ada).await["totals"]["requests"], 0);
    for _ in 0..2 {
        assert_eq!(deliver(&env, &ada, &turn).await.status, 200);
        assert_eq!(messages(&env, &ada, conversation).await.len(), 2);
        assert_eq!(usage(&env, &ada).await["totals"]["requests"], 1);
    }
}

#[tokio::test]
async fn delivery_to_deleted_conversation_counts_without_storing() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let conversation = env.open(&ada).await;
    for (member, number) in [(&eve, 0), (&ada, 1)] {
        if number == 1 {
            let path = format!("/api/v1/chat/conversations/{conversation}");
            assert_eq!(env.send(Call::new("DELETE", path).token(&ada.access)).await.status, 204);
        }
        let answer = deliver(&env, member, &delivery(&env, member, conversation, number)).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"conversation_exists": false, "last_seq": 0}))
        );
        assert_eq!(usage(&env, member).await["totals"]["requests"], 1);
    }
}

#[tokio::test]
async fn late_delivery_needs_token_valid_at_turn_time() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let turn = delivery(&env, &ada, conversation, 0);
    env.clock.advance(10 * 60_000);
    let still_valid = delivery(&env, &ada, conversation, 1);
    env.clock.advance(20 * 60_000);
    let after_expiry = delivery(&env, &ada, conversation, 2);
    env.clock.advance(29 * DAY_MS);
    assert_eq!(deliver(&env, &ada, &turn).await.status, 200);
    assert_eq!(deliver(&env, &ada, &still_valid).await.status, 200);
    assert_eq!(deliver(&env, &ada, &after_expiry).await.problem(), problem(401, "token_expired"));
    env.clock.advance(DAY_MS);
    let too_late = deliver(&env, &ada, &turn).await;
    assert_eq!(too_late.problem(), problem(422, "validation_failed"));
    assert_eq!(too_late.json()["errors"][0]["field"], "created_at");
}

#[tokio::test]
async fn delivery_for_another_user_is_refused() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let conversation = env.open(&ada).await;
    let turn = delivery(&env, &ada, conversation, 0);
    assert_eq!(deliver(&env, &eve, &turn).await.problem(), problem(403, "forbidden"));
    let mut before = turn.clone();
    before.created_at = turn.created_at.plus_millis(-3_600_000);
    assert_eq!(deliver(&env, &ada, &before).await.problem(), problem(401, "token_invalid"));
    let unsigned = Call::post(TURNS_PATH).json(&serde_json::to_value(&turn).unwrap());
    assert_eq!(env.send(env.sign(unsigned, "203.0.113.7")).await.problem(), problem(401, "token_missing"));
    assert!(messages(&env, &ada, conversation).await.is_empty());
}

#[tokio::test]
async fn inconsistent_delivery_is_refused() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let turn = delivery(&env, &ada, conversation, 0);
    let changed = |change: fn(&mut TurnDelivery)| {
        let mut turn = turn.clone();
        change(&mut turn);
        turn
    };
    for (wrong, field) in [
        (changed(|turn| turn.messages.iter_mut().take(1).for_each(|m| m.turn_id = m.id)), "messages"),
        (changed(|turn| turn.messages.answer_mut().conversation_id = turn.user_id), "messages"),
        (changed(|turn| turn.messages.answer_mut().role = Role::User), "messages"),
        (changed(|turn| turn.messages.answer_mut().status = TurnStatus::Running), "messages"),
        (changed(|turn| turn.messages.answer_mut().parent_id = None), "messages"),
        (changed(|turn| turn.kind = TurnKind::Regenerate), "messages"),
        (changed(|turn| turn.head_id = turn.user_id), "head_id"),
        (changed(|turn| turn.status = TurnStatus::Queued), "status"),
        (changed(|turn| turn.finished_at = turn.created_at.plus_millis(-1)), "finished_at"),
    ] {
        let answer = deliver(&env, &ada, &wrong).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"), "{field}");
        assert_eq!(answer.json()["errors"][0]["field"], field);
    }
    let garbage = Call::post(TURNS_PATH).token(&ada.access).json(&json!({"turn_id": 7}));
    assert_eq!(env.send(env.sign(garbage, "203.0.113.7")).await.problem(), problem(400, "invalid_request"));
}

#[tokio::test]
async fn long_turn_is_accepted() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let mut turn = delivery(&env, &ada, conversation, 0);
    let text = "\u{1}".repeat(200_000);
    turn.messages.answer_mut().content.clone_from(&text);
    turn.messages.answer_mut().parts = vec![Part::Text { text }];
    assert!(serde_json::to_vec(&turn).unwrap().len() > 2 * 1_048_576);
    assert_eq!(deliver(&env, &ada, &turn).await.status, 200);
    let too_large =
        Call::post(TURNS_PATH).token(&ada.access).bytes("application/json", vec![b' '; 9 * 1_048_576]);
    assert_eq!(
        env.send(env.sign(too_large, "203.0.113.7")).await.problem(),
        problem(413, "payload_too_large")
    );
}

#[tokio::test]
async fn worker_reads_back_context_and_turns() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let conversation = env.open(&ada).await;
    let turn = delivery(&env, &ada, conversation, 0);
    assert_eq!(deliver(&env, &ada, &turn).await.status, 200);
    let ask = async |path: String, member: &Member| {
        env.send(env.sign(Call::get(path).token(&member.access), "203.0.113.7")).await
    };
    let context = ask(context_path(conversation), &ada).await.json();
    assert_eq!((&context["last_seq"], &context["model"]), (&json!(2), &Value::Null));
    assert_eq!(context["messages"][1]["content"], "answer 0");
    let stored = ask(turn_path(turn.turn_id), &ada).await.json();
    assert_eq!(stored["messages"], serde_json::to_value(&turn.messages).unwrap());
    assert_eq!(context["head"]["message_id"], json!(turn.head_id));
    assert_eq!((&stored["last_event_id"], &stored["error"]), (&json!(9), &Value::Null));
    for path in [context_path(conversation), turn_path(turn.turn_id)] {
        let theirs = ask(path, &eve).await;
        let absent = ask(context_path(ada.id), &eve).await;
        assert_eq!(theirs.problem(), problem(404, "not_found"));
        assert_eq!(theirs.problem_body(), absent.problem_body());
    }
}

#[tokio::test]
async fn signature_must_be_valid_and_is_accepted_once() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let turn = delivery(&env, &ada, conversation, 0);
    let assert_refused = async |call: Call, why: &str| {
        let answer = env.send(call).await;
        assert_eq!(answer.problem(), problem(403, "forbidden"), "{why}");
        assert!(answer.header(SIGNATURE_ERROR).contains(why), "{}", answer.header(SIGNATURE_ERROR));
    };
    assert_refused(call(&ada, &turn), "not signed").await;

    let good = env.sign(call(&ada, &turn), "203.0.113.7");
    assert_eq!(env.send(good.clone()).await.status, 200);
    assert_refused(good.clone(), "nonce was used before").await;
    let later = env.sign(call(&ada, &turn), "203.0.113.7");
    env.clock.advance(32_000);
    assert_refused(later, "-32 s").await;

    let signed = env.sign(call(&ada, &turn), "203.0.113.7");
    let other_body = signed.clone().json(&json!({}));
    assert_refused(other_body, "body").await;
    let request = EdgeRequest {
        method: "POST",
        path_and_query: TURNS_PATH,
        body_sha256: &sha256(b""),
        request_id: "r1",
        client_ip: "203.0.113.7",
    };
    let foreign = shared::auth::edge::EdgeKeys::parse(&"f".repeat(32)).unwrap();
    let signature = foreign.sign(&request, env.clock.now(), "0123456789abcdef0123");
    let forged = Call::post(TURNS_PATH)
        .header(X_REQUEST_ID, "r1")
        .header(CLIENT_IP, "203.0.113.7")
        .header(SIGNATURE, &signature);
    assert_refused(forged, "no key").await;
    let public = Call::get("/api/v1/auth/me").token(&ada.access).header(SIGNATURE, "v1;nonsense");
    assert_refused(public, "malformed").await;
}

#[tokio::test]
async fn turn_of_a_guest_who_was_merged_is_the_users_and_its_usage_the_guests() {
    let env = TestEnv::new().await;
    let guest = Member::of(&env.send(Call::post("/api/v1/auth/guest")).await.json());
    let conversation = env.open(&guest).await;
    let [first, late] = [0, 1].map(|number| delivery(&env, &guest, conversation, number));
    assert_eq!(deliver(&env, &guest, &first).await.status, 200);
    env.register("ada").await;
    let body = json!({
        "email": "ada@example.com",
        "password": "correct horse",
        "merge_guest_token": guest.access,
    });
    let ada = env.send(Call::post("/api/v1/auth/login").json(&body)).await;
    assert_eq!(ada.status, 200, "{:?}", ada.body);
    let ada = Member::of(&ada.json());
    for turn in [&late, &late, &first] {
        let receipt = deliver(&env, &guest, turn).await.json();
        assert_eq!(receipt["conversation_exists"], true, "{receipt}");
    }
    assert_eq!(messages(&env, &ada, conversation).await.len(), 4);
    assert_eq!(usage(&env, &ada).await["totals"]["messages"], 0);
}
