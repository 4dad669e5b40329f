//! Tests of a client with a local copy, which gets every change it lacks.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::api::sync::SyncPage;

use super::{
    deliveries::delivery,
    test_env::{Call, Member, TestEnv, problem},
};

const LIST: &str = "/api/v1/chat/conversations";

async fn sync(env: &TestEnv, member: &Member, query: &str) -> Value {
    let answer = env.send(Call::get(format!("/api/v1/sync{query}")).token(&member.access)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.json()
}

fn cursor(page: &Value) -> String {
    page["next_cursor"].as_str().unwrap().to_owned()
}

/// A client's copy: its conversations, and the contents of their messages by `seq`.
#[derive(Default)]
struct Copy {
    cursor: Option<String>,
    conversations: BTreeMap<String, Value>,
    messages: BTreeMap<String, BTreeMap<u64, String>>,
}

impl Copy {
    /// Updates the copy as the documentation says, with small pages.
    async fn follow(&mut self, env: &TestEnv, member: &Member) {
        loop {
            let from = self.cursor.as_ref().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
            let page = sync(env, member, &format!("?limit=2{from}")).await;
            for item in page["items"].as_array().unwrap() {
                let id = item["id"].as_str().unwrap().to_owned();
                if item["deleted"] == true {
                    assert_eq!(item["conversation"], Value::Null);
                    self.conversations.remove(&id);
                    self.messages.remove(&id);
                } else {
                    self.catch_up(env, member, &id).await;
                    self.conversations.insert(id, item["conversation"].clone());
                }
            }
            self.cursor = Some(cursor(&page));
            if page["has_more"] == false {
                return;
            }
        }
    }

    async fn catch_up(&mut self, env: &TestEnv, member: &Member, id: &str) {
        let known = self.messages.entry(id.to_owned()).or_default();
        let last = known.last_key_value().map_or(0, |(seq, _)| *seq);
        let path = format!("{LIST}/{id}/messages?after_seq={last}");
        let answer = env.send(Call::get(path).token(&member.access)).await;
        // Deleted since: the next page has the deletion.
        for message in answer.json()["items"].as_array().unwrap_or(&Vec::new()) {
            let content = message["content"].as_str().unwrap().to_owned();
            assert_eq!(known.insert(message["seq"].as_u64().unwrap(), content), None);
        }
    }
}

#[tokio::test]
async fn following_copy_ends_equal() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let mut copy = Copy::default();
    copy.follow(&env, &ada).await;
    assert!(copy.conversations.is_empty());
    let mut opened = Vec::new();
    for _ in 0..5 {
        opened.push(env.open(&ada).await);
        env.clock.advance(1);
    }
    env.open(&eve).await;
    let record = async |index: usize, number| {
        let turn = delivery(&env, &ada, opened[index], number);
        env.app.stores.chats.record_turn(turn).await.unwrap().unwrap();
    };
    record(0, 0).await;
    copy.follow(&env, &ada).await;
    assert_eq!(copy.conversations.len(), 5);
    record(0, 1).await;
    record(3, 0).await;
    let one = |index: usize| format!("{LIST}/{}", opened[index]);
    let rename = Call::new("PATCH", one(1)).token(&ada.access).json(&json!({"title": "Renamed"}));
    assert_eq!(env.send(rename).await.status, 200);
    for gone in [2, 3] {
        assert_eq!(env.send(Call::new("DELETE", one(gone)).token(&ada.access)).await.status, 204);
    }
    copy.follow(&env, &ada).await;

    let list = env.send(Call::get(format!("{LIST}?limit=100")).token(&ada.access)).await.json();
    let listed: BTreeMap<_, _> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["id"].as_str().unwrap().to_owned(), item.clone()))
        .collect();
    assert_eq!(copy.conversations, listed);
    let texts =
        |index: usize| copy.messages[&opened[index].to_string()].values().cloned().collect::<Vec<_>>();
    assert_eq!(texts(0), ["question 0", "answer 0", "question 1", "answer 1"]);
    assert!(texts(1).is_empty() && texts(4).is_empty());

    // A new copy gets the deletions, too, and ends in the same state.
    let mut anew = Copy::default();
    anew.follow(&env, &ada).await;
    assert_eq!((anew.conversations, anew.messages), (copy.conversations, copy.messages));
}

#[tokio::test]
async fn page_always_has_a_cursor() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let nothing = sync(&env, &ada, "").await;
    assert_eq!((&nothing["items"], &nothing["has_more"]), (&json!([]), &json!(false)));
    let from = format!("?cursor={}", cursor(&nothing));
    assert_eq!(sync(&env, &ada, &from).await, nothing);
    let first = env.open(&ada).await;
    let one = sync(&env, &ada, &from).await;
    assert_eq!((&one["items"][0]["id"], &one["items"][0]["deleted"]), (&json!(first), &json!(false)));
    let shown = env.send(Call::get(format!("{LIST}/{first}")).token(&ada.access)).await;
    assert_eq!(one["items"][0]["conversation"], shown.json());
    let same = sync(&env, &ada, &format!("?cursor={}", cursor(&one))).await;
    assert_eq!((&same["items"], cursor(&same)), (&json!([]), cursor(&one)));
    env.open(&ada).await;
    let page = sync(&env, &ada, "?limit=1").await;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["has_more"]), (1, &json!(true)));
    let rest = sync(&env, &ada, &format!("?limit=1&cursor={}", cursor(&page))).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["has_more"]), (1, &json!(false)));
}

#[tokio::test]
async fn cursor_of_another_list_is_refused() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    env.open(&ada).await;
    let list = env.send(Call::get(format!("{LIST}?limit=1")).token(&ada.access)).await;
    let of_conversations = cursor(&list.json());
    let of_sync = cursor(&sync(&env, &ada, "").await);
    for (path, field) in [
        (format!("/api/v1/sync?cursor={of_conversations}"), "cursor"),
        ("/api/v1/sync?cursor=nonsense".to_owned(), "cursor"),
        ("/api/v1/sync?cursor=".to_owned(), "cursor"),
        ("/api/v1/sync?limit=0".to_owned(), "limit"),
        (format!("{LIST}?cursor={of_sync}"), "cursor"),
        (format!("{LIST}/{conversation}/messages?cursor={of_sync}"), "cursor"),
    ] {
        let answer = env.send(Call::get(&path).token(&ada.access)).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"), "{path}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{path}");
    }
    assert_eq!(env.send(Call::get("/api/v1/sync")).await.problem(), problem(401, "token_missing"));
}

#[tokio::test]
async fn messages_begin_after_or_before_seq() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let conversation = env.open(&ada).await;
    for number in 0..3 {
        let turn = delivery(&env, &ada, conversation, number);
        env.app.stores.chats.record_turn(turn).await.unwrap().unwrap();
    }
    let get = async |query: &str| {
        let path = format!("{LIST}/{conversation}/messages?{query}");
        env.send(Call::get(path).token(&ada.access)).await
    };
    let seqs = |page: &Value| -> Vec<u64> {
        page["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect()
    };
    for (query, expected) in [
        ("after_seq=0", &[1, 2, 3, 4, 5, 6][..]),
        ("after_seq=4", &[5, 6]),
        ("after_seq=6", &[]),
        ("after_seq=18446744073709551615", &[]),
        ("after_seq=4&order=desc", &[3, 2, 1]),
        ("after_seq=1&order=desc", &[]),
        ("after_seq=0&order=desc", &[]),
    ] {
        assert_eq!(seqs(&get(query).await.json()), expected, "{query}");
    }
    // From there on the list continues by its cursor.
    let page = get("after_seq=2&limit=2").await.json();
    assert_eq!(seqs(&page), [3, 4]);
    let next = format!("limit=2&cursor={}", cursor(&page));
    assert_eq!(seqs(&get(&next).await.json()), [5, 6]);
    for wrong in
        [&format!("{next}&after_seq=2"), "after_seq=-1", "after_seq=1.5", "after_seq=", "after_seq=x"]
    {
        let answer = get(wrong).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"), "{wrong}");
        assert_eq!(answer.json()["errors"][0]["field"], "after_seq", "{wrong}");
    }
}

#[tokio::test]
async fn page_matches_document() {
    let env = TestEnv::new().await;
    let document = env.send(Call::get("/openapi.json")).await.json();
    let example = document.pointer("/components/schemas/SyncPage/example").unwrap();
    let read: SyncPage = serde_json::from_value(example.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&read).unwrap(), example);
    let operation = document.pointer("/paths/~1api~1v1~1sync/get").unwrap();
    assert!(operation["description"].as_str().unwrap().contains("after_seq"));
    let parameters = |pointer: &str| -> Vec<String> {
        let list = document.pointer(pointer).unwrap().as_array().unwrap();
        list.iter().map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(parameters("/paths/~1api~1v1~1sync/get/parameters"), ["limit", "cursor"]);
    let messages = "/paths/~1api~1v1~1chat~1conversations~1{id}~1messages/get/parameters";
    assert_eq!(parameters(messages), ["id", "limit", "cursor", "order", "after_seq"]);
    let create = parameters("/paths/~1api~1v1~1chat~1conversations/post/parameters");
    assert_eq!(create, ["Idempotency-Key"]);
}
