//! Tests of the server on a real socket: responses and shutdown, without timeouts.

use std::sync::Arc;

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
};

use super::test_env::TestEnv;
use crate::server;

async fn request(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: origin\r\n\r\n").as_bytes()).await.unwrap();
}

/// Reads until the peer closes the connection.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn shutdown_finishes_running_requests_and_accepts_no_more() {
    let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (reached, go_on) = (Arc::clone(&reached), Arc::clone(&go_on));
        async move || {
            reached.notify_one();
            go_on.notified().await;
            "finished"
        }
    };
    let env = TestEnv::new().await.serving(Router::new().route("/slow", get(slow)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let server = tokio::spawn(server::serve(listener, env.router(), async {
        let _ = ended.await;
    }));

    let mut idle = TcpStream::connect(addr).await.unwrap();
    request(&mut idle, "/nope").await;
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 404");
    let mut running = TcpStream::connect(addr).await.unwrap();
    request(&mut running, "/slow").await;
    reached.notified().await;

    end.send(()).unwrap();
    read_to_end(&mut idle).await;
    assert!(TcpStream::connect(addr).await.is_err());
    go_on.notify_one();
    let answer = read_to_end(&mut running).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("finished"), "{answer}");
    server.await.unwrap();
}
