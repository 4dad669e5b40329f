//! Tests of servers that are unreachable, silent or killed.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::{
    bounded, eventually, is_absence,
    proxy::{Flow, Proxy},
};
use crate::{
    config::stores::MongoConfig,
    store::{
        chats::Chats as _,
        contract::{
            mongo,
            samples::{at, conversation, delivery, id},
        },
        mongo::MongoChats,
    },
};

const USER: u32 = 1;
/// More than there are connections.
const CALLS: u32 = 48;

#[tokio::test]
async fn silent_server_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            open.push(connection);
        }
    });
    let config = MongoConfig::parse(&format!("mongodb://somebody:hunter2@{address}/talk")).unwrap();
    let error = bounded(MongoChats::open(&config)).await.err().unwrap();
    assert!(is_absence(error.kind()), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    accepted.abort();
}

#[tokio::test]
async fn refused_connection_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = MongoConfig::parse(&format!("mongodb://somebody:hunter2@{address}/talk")).unwrap();
    let error = bounded(MongoChats::open(&config)).await.err().unwrap();
    assert_eq!(error.kind(), "unavailable");
    let text = format!("{error} {error:?}");
    assert!(text.contains(&address.to_string()) && !text.contains("hunter2"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn suspended_server_delays_no_call_and_is_found_again() {
    let proxy = Proxy::before(&mongo::url()).await;
    let (store, _dropped) = mongo::open(&mongo::config(&proxy.url)).await;
    let before = conversation(10, at(0));
    store.create_conversation(id(USER), before.clone()).await.unwrap();
    proxy.set(Flow::Silent, 0);
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(bounded(async move {
                let turn = delivery(id(USER), id(10), number + 1, 1);
                let written = store.record_turn(turn).await.map(|_| ());
                let read = store.conversation(id(USER), id(10)).await.map(|_| ());
                [written, read]
            }))
        })
        .collect();
    for call in calls {
        for outcome in call.await.unwrap() {
            let error = outcome.unwrap_err();
            assert!(is_absence(error.kind()), "{error}");
        }
    }
    proxy.set(Flow::Open, 0);
    let found = eventually(|| store.conversation(id(USER), id(10))).await;
    assert_eq!(found.map(|found| found.id), Some(before.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_server_is_found_again() {
    let proxy = Proxy::before(&mongo::url()).await;
    let (store, _dropped) = mongo::open(&mongo::config(&proxy.url)).await;
    let written = conversation(10, at(0));
    store.create_conversation(id(USER), written.clone()).await.unwrap();
    for _ in 0..3 {
        proxy.set(Flow::Cut, 0);
        let error = bounded(store.conversation(id(USER), id(10))).await.unwrap_err();
        assert!(is_absence(error.kind()), "{error}");
        proxy.set(Flow::Open, 0);
        assert_eq!(eventually(|| store.conversation(id(USER), id(10))).await, Some(written.clone()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broken_connection_is_retried() {
    let proxy = Proxy::before(&mongo::url()).await;
    let (store, _dropped) = mongo::open(&mongo::config(&proxy.url)).await;
    for (round, flow) in (0_u32..).zip([Flow::CutOnce, Flow::LoseAnswer]) {
        let opened = conversation(10 + round, at(0));
        proxy.set(flow, 0);
        store.create_conversation(id(USER), opened.clone()).await.unwrap();
        proxy.set(flow, 0);
        assert_eq!(store.conversation(id(USER), opened.id).await.unwrap(), Some(opened.clone()));
        proxy.set(flow, 1);
        let turn = delivery(id(USER), opened.id, 1 + round, 1);
        assert_eq!(store.record_turn(turn).await.unwrap(), Some(2));
        proxy.set(flow, 0);
        assert!(store.delete_conversation(id(USER), opened.id, at(500)).await.unwrap(), "{flow:?}");
        proxy.set(flow, 0);
        assert!(!store.delete_conversation(id(USER), id(99), at(500)).await.unwrap(), "{flow:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turn_of_conversation_missed_by_one_read_is_stored() {
    let proxy = Proxy::before(&mongo::url()).await;
    let (store, _dropped) = mongo::open(&mongo::config(&proxy.url)).await;
    let opened = conversation(10, at(0));
    store.create_conversation(id(USER), opened.clone()).await.unwrap();
    proxy.set(Flow::FindNone, 0);
    let turn = delivery(id(USER), opened.id, 1, 1);
    assert_eq!(store.record_turn(turn).await.unwrap(), Some(2));
    assert!(store.delete_conversation(id(USER), opened.id, at(500)).await.unwrap());
    proxy.set(Flow::FindNone, 0);
    assert_eq!(store.record_turn(delivery(id(USER), opened.id, 2, 3)).await.unwrap(), None);
    assert_eq!(store.record_turn(delivery(id(USER), id(99), 3, 1)).await.unwrap(), None);
}
