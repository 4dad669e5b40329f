//! The HTTP server: accepts connections, reads calls and passes each to a handler.

use std::{convert::Infallible, io, sync::Arc};

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::HeaderMap, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use shared::provider::gemini;
use tokio::{net::TcpListener, task::JoinSet};

use super::call::{Call, NoReply, Pieces, Received, refusal};

/// The largest request that is read, in bytes.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// A handler of calls, which answers at once or in a task of its own.
pub type Answer = Arc<dyn Fn(Call) + Send + Sync>;

/// Serves `listener` and passes each call to `answer`. Ends, with every open connection, when it is dropped.
///
/// # Errors
/// Fails when no connection can be accepted any more.
pub async fn serve(listener: TcpListener, answer: Answer) -> io::Result<Infallible> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        // Without it the kernel delays small pieces by 40 ms.
        stream.set_nodelay(true)?;
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            let service = service_fn(move |request| handle(request, Arc::clone(&answer)));
            // An error here is a client that went away or a script that cut the connection.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn handle(request: Request<Incoming>, answer: Answer) -> Result<Response<Pieces>, NoReply> {
    let received = match read(request).await {
        Ok(received) => received,
        Err((status, message)) => return Ok(refusal(status, message)),
    };
    let (call, reply) = Call::new(received);
    answer(call);
    reply.await.map_err(|_| NoReply)
}

/// Reads a call as Gemini does: an unknown path is 404, a call without a key 403, an unreadable body 400.
async fn read(request: Request<Incoming>) -> Result<Received, (StatusCode, &'static str)> {
    let (parts, body) = request.into_parts();
    let (model, stream) = match gemini::parse_path(parts.uri.path()) {
        Some((model, stream)) if parts.method == Method::POST => (model.to_owned(), stream),
        _ => return Err((StatusCode::NOT_FOUND, "Requested entity was not found.")),
    };
    if stream && parts.uri.query() != Some("alt=sse") {
        return Err((StatusCode::BAD_REQUEST, "The scripted provider streams with alt=sse only."));
    }
    let api_key = api_key(&parts.headers).ok_or((
        StatusCode::FORBIDDEN,
        "Method doesn't allow unregistered callers. Please use API Key to call this API.",
    ))?;
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|error| match error
        .downcast_ref::<LengthLimitError>()
    {
        Some(_) => (StatusCode::BAD_REQUEST, "Request payload size exceeds the limit."),
        None => (StatusCode::BAD_REQUEST, "The request was cut off."),
    })?;
    let body = body.to_bytes();
    let request = gemini::parse_request(&body)
        .map_err(|_| (StatusCode::BAD_REQUEST, "Invalid JSON payload received."))?;
    Ok(Received { model, stream, api_key, headers: parts.headers, body, request })
}

fn api_key(headers: &HeaderMap) -> Option<String> {
    let key = headers.get(gemini::API_KEY_HEADER)?.to_str().ok()?;
    (!key.is_empty()).then(|| key.to_owned())
}
