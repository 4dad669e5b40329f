//! Tests of the creation of indexes at start, and of corrupt documents.

use mongodb::bson::{Bson, Document, doc};
use shared::api::{chat::Message, page::Order};

use crate::store::{
    chats::{Chats as _, MessagesPage, Scope},
    contract::{
        mongo,
        samples::{at, conversation, delivery, id, pictured},
    },
    mongo::{
        MongoChats,
        document::uuid,
        indexes,
        queries::{CONVERSATIONS, MESSAGES},
    },
};

const USER: u32 = 1;
/// Characters of an image that nearly fills the largest delivery.
const LARGE: usize = 7 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_starts_create_every_index() {
    let config = mongo::config(&mongo::url());
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let config = config.clone();
            tokio::spawn(async move { MongoChats::migrate(&config).await })
        })
        .collect();
    let mut most = 0;
    for start in starts {
        most = most.max(start.await.unwrap().unwrap().len());
    }
    assert!(most > 0);
    let (store, _dropped) = mongo::open(&config).await;
    assert_eq!(MongoChats::migrate(&config).await.unwrap(), Vec::<String>::new());
    for index in indexes::ALL {
        let collection = store.database().collection::<Document>(index.collection);
        let mut there = collection.list_indexes().await.unwrap();
        let mut existing = Vec::new();
        while there.advance().await.unwrap() {
            existing.push(there.deserialize_current().unwrap());
        }
        let found = existing.iter().find(|found| {
            found.options.as_ref().and_then(|options| options.name.as_deref()) == Some(index.name)
        });
        let found = found.unwrap();
        let fields: Vec<_> = found.keys.keys().map(String::as_str).collect();
        assert_eq!(fields, index.fields.iter().map(|(field, _)| *field).collect::<Vec<_>>());
        let is_unique = found.options.as_ref().and_then(|options| options.unique).unwrap_or(false);
        assert_eq!(is_unique, index.is_unique, "{}", index.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_beyond_one_server_response_are_read_back() {
    let (store, _dropped) = mongo::open(&mongo::config(&mongo::url())).await;
    let opened = conversation(10, at(0));
    store.create_conversation(id(USER), opened.clone()).await.unwrap();
    let mut expected = Vec::new();
    // Together they exceed one response of the server.
    for number in 1..=4 {
        let turn = delivery(id(USER), opened.id, number, u64::from(2 * number - 1));
        let turn = pictured(turn, LARGE);
        assert_eq!(store.record_turn(turn.clone()).await.unwrap(), Some(u64::from(2 * number)));
        expected.extend(turn.messages.into_vec());
    }
    let (mut read, mut has_more) = (Vec::<Message>::new(), true);
    while has_more {
        let after = read.last().map(|last| last.seq);
        let page = MessagesPage { scope: Scope::Shown, order: Order::Asc, after, limit: 100 };
        let page = store.messages(id(USER), opened.id, page).await.unwrap().unwrap();
        assert!(!page.items.is_empty());
        has_more = page.has_more;
        read.extend(page.items);
    }
    // The values are too large to be printed.
    assert!(read == expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrupt_field_is_named() {
    let (store, _dropped) = mongo::open(&mongo::config(&mongo::url())).await;
    let opened = conversation(10, at(0));
    store.create_conversation(id(USER), opened.clone()).await.unwrap();
    let turn = delivery(id(USER), opened.id, 1, 1);
    store.record_turn(turn.clone()).await.unwrap().unwrap();
    let spoil = async |collection: &str, key: Bson, field: &str, value: Bson| {
        let collection = store.database().collection::<Document>(collection);
        collection.update_one(doc! { "_id": key }, doc! { "$set": { field: value } }).await.unwrap();
    };

    let question = turn.messages.first().id;
    let page = MessagesPage { scope: Scope::Shown, order: Order::Asc, after: None, limit: 10 };
    // A name of a newer version is kept unchanged.
    spoil(MESSAGES, uuid(question), "role", "critic".into()).await;
    let read = store.messages(id(USER), opened.id, page).await.unwrap().unwrap();
    assert_eq!(read.items[0].role.as_str(), "critic");
    spoil(MESSAGES, uuid(question), "role", "".into()).await;
    let error = store.messages(id(USER), opened.id, page).await.unwrap_err();
    assert_eq!(error.to_string(), format!("corrupt: messages.role of {question}"));

    spoil(CONVERSATIONS, uuid(opened.id), "message_count", (-1_i64).into()).await;
    let error = store.conversation(id(USER), opened.id).await.unwrap_err();
    assert_eq!(error.to_string(), format!("corrupt: conversations.message_count of {}", opened.id));

    spoil(CONVERSATIONS, uuid(opened.id), "title", 7.into()).await;
    let error = store.conversation(id(USER), opened.id).await.unwrap_err();
    assert_eq!(error.kind(), "corrupt");
}
