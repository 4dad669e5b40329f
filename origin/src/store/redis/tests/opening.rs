//! Addresses that serve, that may serve later, and that never will.

use std::time::Duration;

use rstest::rstest;
use shared::limits::{failures::FailureDelay, gcra::Gcra, window::FixedWindow};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{
    IMPATIENT, PATIENT, START, at, id, open, patient,
    private::{Port, PrivateRedis},
};
use crate::store::{
    Ephemeral as _, StoreError,
    contract::redis::open_alone,
    ephemeral::{CacheGroup, CodeOutcome, OneTimeCode},
};

/// Long enough for a start on a busy machine; far less than waiting for each command would take.
const BOUND: Duration = Duration::from_secs(5);
/// The attempts of a start that must be refused.
const ATTEMPTS: u32 = 5;

/// A listener that answers every connection with these bytes, or accepts it and is silent.
async fn listener(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(answer) = answer else {
                silent.push(stream);
                continue;
            };
            let mut request = [0; 1_024];
            // A closed connection gets no response.
            if stream.read(&mut request).await.is_ok() {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    addr
}

#[rstest]
#[case::one_server("redis://")]
#[case::one_server_with_tls("rediss://")]
#[case::a_cluster("redis+cluster://")]
#[case::a_cluster_with_tls("rediss+cluster://")]
#[tokio::test]
async fn absent_server_does_not_delay_start(#[case] scheme: &str) {
    let refused = Port::reserve();
    for addr in [refused.addr(), listener(None).await] {
        let url = format!("{scheme}{addr}");
        let store = tokio::time::timeout(BOUND, open(&url, "test", IMPATIENT)).await.unwrap().unwrap();
        assert_eq!(store.ping().await.unwrap_err().kind(), "unavailable");
        assert!(store.count("key", FixedWindow::new(1, 1_000), START).await.unwrap().allowed);
        assert!(!store.count("key", FixedWindow::new(1, 1_000), START).await.unwrap().allowed);
    }
}

/// Returns the error of a start at this address. On a busy machine an attempt may time out, which is no refusal.
async fn refusal(url: &str) -> StoreError {
    for _ in 0..ATTEMPTS {
        match open(url, "test", PATIENT).await {
            Err(error) => return error,
            Ok(store) => assert!(store.ping().await.is_err(), "it serves"),
        }
    }
    panic!("nothing is refused");
}

#[tokio::test]
async fn wrong_password_is_refused_at_start() {
    let server = PrivateRedis::start(&["--requirepass", "right"]).await;
    for address in [format!("redis://:wrong@{}", server.addr()), server.url()] {
        let error = refusal(&address).await.to_string();
        assert!(error.to_lowercase().contains("auth") && !error.contains("wrong@"), "{error}");
    }
    patient(&format!("redis://:right@{}", server.addr()), "test").await;
}

#[tokio::test]
async fn other_protocol_is_refused_at_start() {
    let addr = listener(Some("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    assert_eq!(refusal(&format!("redis://{addr}")).await.kind(), "refused");
}

/// The rights of a user as docs/deployment.md gives them, for keys of this test.
fn documented_rights() -> Vec<String> {
    let text = include_str!("../../../../../docs/deployment.md");
    let (_, rest) = text.split_once("ACL SETUSER edgechat").unwrap();
    let (line, _) = rest.split_once('\n').unwrap();
    let words = line.split_whitespace().skip_while(|word| !word.starts_with('~'));
    let rights: Vec<_> = words.map(|word| word.replace("edgechat", "test")).collect();
    assert!(rights.contains(&"~test:*".to_owned()) && rights.contains(&"+info".to_owned()), "{rights:?}");
    rights
}

/// Makes a user of these rights, and gives the address with it.
async fn user_with(server: &PrivateRedis, scheme: &str, rights: &[String]) -> String {
    let mut make = redis::cmd("ACL");
    make.arg("SETUSER").arg("me").arg("reset").arg("on").arg(">s3cret");
    let made = make.arg(rights).exec_async(&mut server.connect().await.unwrap()).await;
    made.unwrap_or_else(|error| panic!("{rights:?}: {error}"));
    format!("{scheme}://me:s3cret@{}", server.addr())
}

#[tokio::test]
async fn user_with_documented_rights_may_do_everything() {
    for (server, scheme) in
        [(PrivateRedis::start(&[]).await, "redis"), (PrivateRedis::cluster().await, "redis+cluster")]
    {
        let url = user_with(&server, scheme, &documented_rights()).await;
        let store = open_alone(&url, "test").await;
        store.ping().await.unwrap();
        let (window, rate) = (FixedWindow::new(3, 1_000), Gcra::new(3, 1_000, 2));
        store.count("key", window, START).await.unwrap();
        store.undo_count("key", window, START).await.unwrap();
        let rule = FailureDelay::new(1, 1_000, 1_000, 1_000);
        let counted = store.count_failure("key", rule, START).await.unwrap().state;
        assert!(store.check_failures("key", rule, START).await.unwrap().allowed);
        store.undo_failure("key", rule, counted, START).await.unwrap();
        store.admit("key", rate, START).await.unwrap();
        assert!(store.insert_nonce("key", at(1_000), START).await.unwrap());
        store.get_or_insert("key", vec![1], at(1_000), START).await.unwrap();
        assert_eq!(store.get("key", START).await.unwrap(), Some(vec![1]));
        let code = OneTimeCode { hash: [1; 32], tries: 3, expires_at: at(1_000) };
        store.put_code("key", code, START).await.unwrap();
        assert_eq!(store.try_code("key", [1; 32], START).await.unwrap(), CodeOutcome::Accepted);
        let group = CacheGroup::SessionsOf(id(1));
        let lease = store.cached(group, "a", id(2), START).await.lease;
        store.fill(group, "a", lease, vec![1], at(1_000), START).await;
        assert_eq!(store.cached(group, "a", id(3), START).await.value, Some(vec![1]));
        store.invalidate(group).await;
        assert_eq!(store.cached(group, "a", id(4), START).await.value, None);
        store.ping().await.unwrap();
    }
}

#[tokio::test]
async fn missing_right_is_refused_at_start() {
    let server = PrivateRedis::start(&[]).await;
    for missing in ["-info", "-time", "-ping", "-evalsha", "-script|load", "-@write", "-@read", "resetkeys"] {
        let mut rights = documented_rights();
        rights.push(missing.to_owned());
        let url = user_with(&server, "redis", &rights).await;
        let error = refusal(&url).await;
        assert_eq!(error.kind(), "refused", "{missing}: {error}");
    }
}
