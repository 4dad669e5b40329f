//! Addresses that serve, that may serve later, and that never will.

use std::time::Duration;

use rstest::rstest;
use shared::limits::window::FixedWindow;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{IMPATIENT, PATIENT, START, open, private::PrivateRedis};
use crate::store::Ephemeral as _;

/// Long enough for a start on a busy machine; far less than waiting for each command would take.
const BOUND: Duration = Duration::from_secs(5);

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
            // Whoever hangs up is not answered.
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
async fn a_server_that_is_away_does_not_hold_up_the_start(#[case] scheme: &str) {
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for addr in [refused.to_string(), listener(None).await] {
        let url = format!("{scheme}{addr}");
        let store = tokio::time::timeout(BOUND, open(&url, "test", IMPATIENT)).await.unwrap().unwrap();
        assert_eq!(store.ping().await.unwrap_err().kind(), "unavailable");
        assert!(store.count("key", FixedWindow::new(1, 1_000), START).await.unwrap().allowed);
        assert!(!store.count("key", FixedWindow::new(1, 1_000), START).await.unwrap().allowed);
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_at_the_start() {
    let server = PrivateRedis::start(&["--requirepass", "right"]).await;
    for address in [format!("redis://:wrong@{}", server.addr()), server.url()] {
        let error = open(&address, "test", PATIENT).await.err().unwrap().to_string();
        assert!(error.to_lowercase().contains("auth") && !error.contains("wrong@"), "{error}");
    }
    let store = open(&format!("redis://:right@{}", server.addr()), "test", PATIENT).await.unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn what_speaks_another_language_is_told_at_the_start() {
    let addr = listener(Some("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let error = open(&format!("redis://{addr}"), "test", PATIENT).await.err().unwrap();
    assert_eq!(error.kind(), "refused");
}
