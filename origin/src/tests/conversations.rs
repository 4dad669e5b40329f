//! Tests of conversations and their messages, as their user and as another one.

use serde_json::{Value, json};
use shared::{
    api::chat::{Part, TurnKind},
    id::Id,
};

use super::{
    deliveries::{delivery, message_id},
    test_env::{Call, Member, TestEnv, problem},
};
use crate::store::chats::PAGE_BYTES;

const LIST: &str = "/api/v1/chat/conversations";

fn path(id: impl std::fmt::Display) -> String {
    format!("{LIST}/{id}")
}

#[tokio::test]
async fn conversation_is_created_read_changed_and_deleted() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let body = json!({"title": "Rust", "model": "smart", "system": "Be brief.", "later": true});
    let created = env.send(Call::post(LIST).token(&ada.access).json(&body)).await;
    assert_eq!(created.status, 201);
    let mut expected = json!({
        "id": created.json()["id"], "title": "Rust", "model": "smart", "system": "Be brief.", "pinned": false,
        "archived": false, "head_id": null, "message_count": 0, "last_message_preview": null, "last_message_at": null,
        "created_at": "2026-11-21T09:30:00.007Z", "updated_at": "2026-11-21T09:30:00.007Z",
        "messages_deleted_at": null, "deleted_at": null,
    });
    assert_eq!(created.json(), expected);
    let one = path(expected["id"].as_str().unwrap());
    assert_eq!(env.send(Call::get(&one).token(&ada.access)).await.json(), expected);

    env.clock.advance(1_000);
    let change = json!({"title": null, "archived": true, "model": "lite"});
    let changed = env.send(Call::new("PATCH", &one).token(&ada.access).json(&change)).await;
    for (field, value) in [("title", Value::Null), ("archived", json!(true)), ("model", json!("lite"))] {
        expected[field] = value;
    }
    expected["updated_at"] = json!("2026-11-21T09:30:01.007Z");
    assert_eq!((changed.status, changed.json()), (200, expected.clone()));
    let archived = |value: &str| Call::get(format!("{LIST}?archived={value}")).token(&ada.access);
    assert_eq!(env.send(archived("true")).await.json()["items"], json!([expected]));
    assert_eq!(env.send(archived("false")).await.json()["items"], json!([]));

    let deleted = env.send(Call::new("DELETE", &one).token(&ada.access)).await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    let gone = env.send(Call::get(&one).token(&ada.access)).await;
    assert_eq!(gone.problem(), problem(404, "not_found"));
}

#[tokio::test]
async fn invalid_field_is_named() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let one = path(env.open(&ada).await);
    for (method, path, body, field) in [
        ("POST", LIST, json!({"model": "no-such-model"}), "model"),
        ("POST", LIST, json!({"title": 7}), "title"),
        ("PATCH", &one, json!({"title": "x".repeat(201)}), "title"),
        ("PATCH", &one, json!({"pinned": null, "archived": "yes"}), "archived"),
    ] {
        let answer = env.send(Call::new(method, path).token(&ada.access).json(&body)).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"), "{body}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
    }
}

#[tokio::test]
async fn foreign_and_absent_conversation_get_same_response() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let theirs = env.open(&ada).await;
    let absent = env.app.random.id(super::test_env::START);
    let ids = [theirs.to_string(), absent.to_string(), "no-id".to_owned()];
    for (method, suffix) in
        [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/messages"), ("GET", "/messages?limit=1")]
    {
        let mut bodies = Vec::new();
        for id in &ids {
            let call = Call::new(method, format!("{}{suffix}", path(id))).token(&eve.access);
            let call = if method == "PATCH" { call.json(&json!({"pinned": true})) } else { call };
            let answer = env.send(call).await;
            assert_eq!(answer.problem(), problem(404, "not_found"), "{method} {id}{suffix}");
            bodies.push(answer.problem_body());
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    }
    assert_eq!(
        env.send(Call::get(LIST).token(&eve.access)).await.json(),
        json!({"items": [], "next_cursor": null})
    );
    assert_eq!(env.send(Call::get(path(theirs)).token(&ada.access)).await.status, 200);
}

/// Reads all items of a list, page by page.
async fn pages(env: &TestEnv, member: &Member, list: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..50 {
        let next = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let page = env.send(Call::get(format!("{list}{next}")).token(&member.access)).await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        items.extend(page.json()["items"].as_array().unwrap().clone());
        cursor = page.json()["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return items;
        }
    }
    panic!("the list does not end");
}

#[tokio::test]
async fn pages_have_every_item_once_by_newest_activity() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let mut opened = Vec::new();
    for index in 0..7 {
        opened.push(env.open(&ada).await.to_string());
        env.clock.advance(index % 2);
    }
    let ids = |items: &[Value]| {
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let by_three = ids(&pages(&env, &ada, &format!("{LIST}?limit=3")).await);
    assert_eq!(by_three, ids(&pages(&env, &ada, &format!("{LIST}?limit=100")).await));
    assert_eq!(by_three.iter().collect::<std::collections::BTreeSet<_>>().len(), 7);
    assert!(by_three.iter().all(|id| opened.contains(id)));
}

#[tokio::test]
async fn messages_are_listed_in_either_order() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    for number in 0..3 {
        env.app.stores.chats.record_turn(delivery(&env, &ada, conversation, number)).await.unwrap().unwrap();
    }
    let list = format!("{}/messages", path(conversation));
    let seqs = |items: &[Value]| items.iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(seqs(&pages(&env, &ada, &format!("{list}?limit=4")).await), [1, 2, 3, 4, 5, 6]);
    assert_eq!(seqs(&pages(&env, &ada, &format!("{list}?limit=5&order=desc")).await), [6, 5, 4, 3, 2, 1]);
    let first = env.send(Call::get(&list).token(&ada.access)).await.json()["items"][0].clone();
    assert_eq!((&first["role"], &first["content"]), (&json!("user"), &json!("question 0")));
    assert_eq!(first["usage"], Value::Null);
}

#[tokio::test]
async fn shown_branch_and_all_messages_are_listed() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    let record = async |turn| env.app.stores.chats.record_turn(turn).await.unwrap().unwrap();
    for number in 0..2 {
        record(delivery(&env, &ada, conversation, number)).await;
        env.clock.advance(1_000);
    }
    // An edit of the second question: beside it, after the first answer.
    let mut edit = delivery(&env, &ada, conversation, 2);
    edit.kind = TurnKind::Edit;
    let before = message_id(conversation, 2);
    edit.messages.iter_mut().take(1).for_each(|question| question.parent_id = Some(before));
    record(edit.clone()).await;
    let list = format!("{}/messages", path(conversation));
    let seqs = async |query: &str| {
        let items = pages(&env, &ada, &format!("{list}?limit=2&{query}")).await;
        items.iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let get = async || env.send(Call::get(path(conversation)).token(&ada.access)).await.json();
    assert_eq!(get().await["head_id"], json!(edit.head_id));
    assert_eq!(seqs("order=asc").await, [1, 2, 5, 6]);
    assert_eq!(seqs("order=desc").await, [6, 5, 2, 1]);
    // Messages of all branches; the cursor continues within that scope.
    let arrived = async |query: &str| {
        let first = env.send(Call::get(format!("{list}?limit=2&{query}")).token(&ada.access)).await.json();
        let order = query.split('&').nth(1).unwrap_or("order=asc");
        let next = format!("{list}?{order}&cursor={}", first["next_cursor"].as_str().unwrap());
        let rest = env.send(Call::get(next).token(&ada.access)).await.json();
        assert_eq!(rest["next_cursor"], Value::Null);
        let items = [&first, &rest].map(|page| page["items"].as_array().unwrap().clone()).concat();
        items.iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(arrived("after_seq=0").await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(arrived("after_seq=7&order=desc").await, [6, 5, 4, 3, 2, 1]);
    let second = env.send(Call::get(format!("{list}?order=desc")).token(&ada.access)).await.json();
    let siblings = json!([message_id(conversation, 3), message_id(conversation, 5)]);
    assert_eq!(second["items"][1]["siblings"], siblings);

    let choose = async |body: Value| {
        env.send(Call::new("PATCH", path(conversation)).token(&ada.access).json(&body)).await
    };
    let first_branch = json!(message_id(conversation, 4));
    let chosen = choose(json!({"head_id": first_branch, "title": "Before"})).await;
    assert_eq!((chosen.status, chosen.json()["head_id"].clone()), (200, first_branch.clone()));
    assert_eq!(seqs("order=asc").await, [1, 2, 3, 4]);
    assert_eq!(arrived("after_seq=3").await, [4, 5, 6]);

    // A message of another conversation: nothing changes, and the field is named.
    let other = env.open(&ada).await;
    record(delivery(&env, &ada, other, 0)).await;
    for wrong in [json!(message_id(other, 1)), json!(conversation), json!("nonsense"), json!(7)] {
        let refused = choose(json!({"head_id": wrong, "title": "After"})).await;
        assert_eq!(refused.problem(), problem(422, "validation_failed"), "{wrong}");
        assert_eq!(refused.json()["errors"][0]["field"], "head_id", "{wrong}");
    }
    let now = get().await;
    assert_eq!((&now["head_id"], &now["title"]), (&first_branch, &json!("Before")));
    // `null` leaves the head.
    assert_eq!(choose(json!({"head_id": null})).await.json()["head_id"], first_branch);
}

#[tokio::test]
async fn page_of_large_messages_is_shorter_and_has_cursor() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    for number in 0..5 {
        let mut turn = delivery(&env, &ada, conversation, number);
        let data = Some("A".repeat(PAGE_BYTES / 3));
        let picture = Part::Image { mime_type: Some("image/png".to_owned()), data, file_id: None };
        turn.messages.iter_mut().take(1).for_each(|question| question.parts.push(picture.clone()));
        env.app.stores.chats.record_turn(turn).await.unwrap().unwrap();
    }
    let list = format!("{}/messages?limit=100", path(conversation));
    let first = env.send(Call::get(&list).token(&ada.access)).await.json();
    assert_eq!((first["items"].as_array().unwrap().len(), first["next_cursor"].is_string()), (4, true));
    for (order, expected) in [("asc", (1..=10).collect::<Vec<_>>()), ("desc", (1..=10).rev().collect())] {
        let items = pages(&env, &ada, &format!("{list}&order={order}")).await;
        assert_eq!(items.iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn foreign_cursor_and_limit_out_of_bounds_are_refused() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let (first, second): (Id, Id) = (env.open(&ada).await, env.open(&ada).await);
    for number in 0..2 {
        let turn = delivery(&env, &ada, first, number);
        env.app.stores.chats.record_turn(turn).await.unwrap().unwrap();
    }
    let messages = |id: Id| format!("{}/messages", path(id));
    let cursor_of = async |list: String| {
        let page = env.send(Call::get(format!("{list}?limit=1")).token(&ada.access)).await;
        page.json()["next_cursor"].as_str().unwrap().to_owned()
    };
    let of_messages = cursor_of(messages(first)).await;
    let of_conversations = cursor_of(LIST.to_owned()).await;
    for (path, field) in [
        (format!("{LIST}?cursor={of_messages}"), "cursor"),
        (format!("{LIST}?cursor={of_conversations}&archived=true"), "cursor"),
        (format!("{LIST}?cursor=nonsense"), "cursor"),
        (format!("{}?cursor={of_messages}&order=desc", messages(first)), "cursor"),
        (format!("{}?cursor={of_messages}", messages(second)), "cursor"),
        (format!("{LIST}?limit=0"), "limit"),
        (format!("{LIST}?limit=101"), "limit"),
        (format!("{LIST}?limit=many"), "limit"),
        (format!("{LIST}?archived=perhaps"), "archived"),
        (format!("{}?order=random", messages(first)), "order"),
    ] {
        let answer = env.send(Call::get(&path).token(&ada.access)).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"), "{path}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{path}");
    }
}
