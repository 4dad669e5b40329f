//! A mock server in place of the origin.

use std::error::Error;

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::Service,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves on a free port until the test ends and returns the URL.
pub async fn serve<S, B>(service: S) -> String
where
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            connection.set_nodelay(true).expect("the connection is open");
            let connection = TokioIo::new(connection);
            tokio::spawn(http1::Builder::new().serve_connection(connection, service.clone()));
        }
    });
    url
}
