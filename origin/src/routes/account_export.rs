//! `GET users/me/export`.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderValue, Method,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use hyper::body::Frame;
use shared::api::ErrorCode;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::timeout,
};
use tracing::Instrument as _;

use crate::{
    app::App,
    auth::Requester,
    export::{EXPORT_TIMEOUT, Export},
    http::{CurrentUser, Error},
};

/// Export everything
///
/// All that is stored of the user, as JSON lines. Each line is an object with a `type`: `profile`, `address`, `consent`, `session`,
/// `event` (of `users/me/events`), `usage` (of a day and a model), `conversation`, then its `message`s of all branches by `seq`. The last
/// line is `{"type": "end", "counts": {"message": 2, …}}` with the number of lines of each type: without it the export is not whole,
/// and the connection was cut off.
///
/// One export at a time and 5 a day, each for at most 15 minutes.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/export",
    operation_id = "export_user",
    tag = "users",
    security(("bearer" = [])),
    responses(
        (
            status = 200,
            description = "The lines",
            content_type = "application/x-ndjson",
            body = String,
            headers(("Content-Disposition" = String, description = "A file to be saved")),
        ),
    ),
)]
pub(super) async fn export(
    State(app): State<App>,
    method: Method,
    requester: Requester,
    current: CurrentUser,
) -> Result<Response, Error> {
    if method == Method::HEAD {
        return Ok(with_headers(Body::empty()));
    }
    let place = Arc::clone(&app.exports).try_acquire_owned().map_err(|_| ErrorCode::Overloaded)?;
    app.auth.begin_export(&current.claims, &requester).await?;
    Ok(with_headers(start(&app, current, place)))
}

fn with_headers(body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"export.jsonl\""));
    response
}

/// Starts an export, and returns the body that it fills. A body that is not whole ends with an error, so that its connection is cut off.
fn start(app: &App, current: CurrentUser, place: OwnedSemaphorePermit) -> Body {
    let (out, chunks) = mpsc::channel::<Bytes>(1);
    let (done, outcome) = oneshot::channel::<()>();
    let (auth, user_id) = (Arc::clone(&app.auth), current.user.id);
    let export = Export {
        stores: app.stores.clone(),
        auth: Arc::clone(&auth),
        claims: current.claims,
        user: current.user,
        now: app.clock.now(),
    };
    let running = async move {
        let _place = place;
        let written = timeout(EXPORT_TIMEOUT, export.write(out)).await;
        auth.end_export(user_id).await;
        match written {
            Ok(Ok(())) => drop(done.send(())),
            Ok(Err(error)) => tracing::warn!(%error, "an export was cut off"),
            Err(_) => tracing::warn!("an export was cut off: its client reads too slowly"),
        }
    };
    tokio::spawn(running.in_current_span());
    Body::new(Lines { chunks, outcome: Some(outcome) })
}

/// The lines of an export as a body.
struct Lines {
    chunks: mpsc::Receiver<Bytes>,
    /// The word that the export is whole, until it came.
    outcome: Option<oneshot::Receiver<()>>,
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let lines = self.get_mut();
        if let Some(chunk) = ready!(lines.chunks.poll_recv(context)) {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let Some(outcome) = &mut lines.outcome else { return Poll::Ready(None) };
        let word = ready!(Pin::new(outcome).poll(context));
        lines.outcome = None;
        Poll::Ready(word.err().map(|_| Err(io::Error::other("the export is not whole"))))
    }
}
