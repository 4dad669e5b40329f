//! One call to the provider, which a script or a test answers piece by piece.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use shared::{
    api::usage::Usage,
    provider::{ContentPart, FinishReason, ModelEvent, ModelRequest, Role, gemini},
};
use tokio::sync::{mpsc, oneshot};

const JSON: &str = "application/json; charset=UTF-8";
const EVENTS: &str = "text/event-stream";
const RESPONSE_ID: &str = "scripted-response";

/// The usage of a script that does not set its own.
pub const USAGE: Usage = Usage {
    input_tokens: 11,
    output_tokens: 7,
    cached_tokens: 3,
    reasoning_tokens: 2,
    total_tokens: 20,
    estimated: false,
};

/// A call as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The model that is called.
    pub model: String,
    /// True when the answer is to be streamed.
    pub stream: bool,
    /// The API key.
    pub api_key: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as it was sent.
    pub body: Bytes,
    /// The body as EdgeChat's decoder reads it.
    pub request: ModelRequest,
}

impl Received {
    /// The text of the user's newest message.
    pub fn prompt(&self) -> String {
        let newest = self.request.messages.iter().rev().find(|message| message.role == Role::User);
        let parts = newest.map(|message| message.parts.as_slice()).unwrap_or_default();
        parts
            .iter()
            .filter_map(|part| match part {
                ContentPart::Text(text) => Some(text.as_str()),
                ContentPart::InlineImage { .. } => None,
            })
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// The error of a call whose caller has closed the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the caller of the provider has closed the connection")
    }
}

impl std::error::Error for Gone {}

/// A call that waits for its response. The first piece sends the head; dropping the call ends the body after the last
/// piece, or closes the connection without a response when nothing was sent.
#[derive(Debug)]
pub struct Call {
    received: Received,
    state: State,
    /// The events of a call that is not streamed, sent once it finishes.
    held: Vec<ModelEvent>,
}

#[derive(Debug)]
enum State {
    Silent(oneshot::Sender<Response<Pieces>>),
    Speaking(mpsc::Sender<Result<Bytes, Cut>>),
    Over,
}

impl Call {
    pub(super) fn new(received: Received) -> (Self, oneshot::Receiver<Response<Pieces>>) {
        let (reply, response) = oneshot::channel();
        (Self { received, state: State::Silent(reply), held: Vec::new() }, response)
    }

    /// The call as it was received.
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// Sends a piece of the answer: one chunk of the stream, or a part of the whole answer that is sent at the end.
    ///
    /// # Errors
    /// Fails with [`Gone`] when the caller has disconnected.
    pub async fn send_text(&mut self, text: &str) -> Result<(), Gone> {
        self.events(vec![ModelEvent::TextDelta(text.to_owned())]).await
    }

    /// Ends the answer as Gemini does: with a finish reason and the usage.
    ///
    /// # Errors
    /// Fails with [`Gone`] when the caller has disconnected.
    pub async fn finish(mut self, reason: FinishReason, usage: Usage) -> Result<(), Gone> {
        self.events(vec![ModelEvent::Usage(usage), ModelEvent::Finish(reason)]).await?;
        self.end().await
    }

    /// Ends the answer with `STOP` and [`USAGE`].
    ///
    /// # Errors
    /// Fails with [`Gone`] when the caller has disconnected.
    pub async fn stop(self) -> Result<(), Gone> {
        self.finish(FinishReason::Stop, USAGE).await
    }

    /// Sends any events as one chunk.
    ///
    /// # Errors
    /// Fails with [`Gone`] when the caller has disconnected.
    pub async fn events(&mut self, events: Vec<ModelEvent>) -> Result<(), Gone> {
        if !self.received.stream {
            self.held.extend(events);
            return Ok(());
        }
        let mut chunk = Vec::new();
        gemini::encode_chunk(&mut chunk, self.identity(), &events);
        self.raw(Bytes::from(chunk)).await
    }

    /// Sends bytes as they are, as one piece of a body with status 200.
    ///
    /// # Errors
    /// Fails with [`Gone`] when the caller has disconnected.
    pub async fn raw(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.begin()?;
        match &self.state {
            State::Speaking(body) => body.send(Ok(bytes)).await.map_err(|_| Gone),
            State::Silent(_) | State::Over => Err(Gone),
        }
    }

    /// Ends the body without a finish reason; a whole answer is sent now.
    ///
    /// # Errors
    /// Fails with [`Gone`] when the caller has disconnected.
    pub async fn end(mut self) -> Result<(), Gone> {
        if self.received.stream || self.is_raw() {
            return self.begin();
        }
        let events = std::mem::take(&mut self.held);
        let body = gemini::encode_response(self.identity(), &events);
        self.raw(Bytes::from(body)).await
    }

    /// Breaks the connection in the middle of the body, also that of a whole answer.
    ///
    /// # Errors
    /// Fails with [`Gone`] when the caller has disconnected.
    pub async fn cut(mut self) -> Result<(), Gone> {
        if !self.received.stream && !self.is_raw() {
            let events = std::mem::take(&mut self.held);
            let mut body = gemini::encode_response(self.identity(), &events);
            body.truncate(body.len() / 2);
            self.raw(Bytes::from(body)).await?;
        }
        self.begin()?;
        match &self.state {
            State::Speaking(body) => body.send(Err(Cut)).await.map_err(|_| Gone),
            State::Silent(_) | State::Over => Err(Gone),
        }
    }

    /// Closes the connection without a response, not even a status.
    pub fn close_without_reply(self) {
        drop(self);
    }

    /// Responds with a whole body instead.
    ///
    /// # Errors
    /// Fails with [`Gone`] when the caller has disconnected.
    pub fn reply(mut self, reply: Reply) -> Result<(), Gone> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Silent(head) => head.send(reply.into()).map_err(|_| Gone),
            State::Speaking(_) | State::Over => Err(Gone),
        }
    }

    /// Waits until the caller closes the connection, as it does for a cancelled turn.
    pub async fn gone(&mut self) {
        match &mut self.state {
            State::Silent(head) => head.closed().await,
            State::Speaking(body) => body.closed().await,
            State::Over => {}
        }
    }

    fn identity(&self) -> gemini::Identity<'_> {
        gemini::Identity { model_version: &self.received.model, response_id: RESPONSE_ID }
    }

    /// Returns whether the whole answer was sent as bytes.
    fn is_raw(&self) -> bool {
        self.held.is_empty() && matches!(self.state, State::Speaking(_))
    }

    /// Sends the head unless it was sent.
    fn begin(&mut self) -> Result<(), Gone> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Silent(head) => {
                // One piece is being sent and one waits: a script cannot run far ahead of its reader.
                let (body, pieces) = mpsc::channel(1);
                let media_type = if self.received.stream { EVENTS } else { JSON };
                let mut response = Response::new(Pieces(pieces));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
                head.send(response).map_err(|_| Gone)?;
                self.state = State::Speaking(body);
            }
            state => self.state = state,
        }
        Ok(())
    }
}

/// A whole response in place of a stream.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The media type of the body.
    pub media_type: &'static str,
    /// A `Retry-After` header, in seconds or as a date.
    pub retry_after: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// An error in Gemini's shape.
    pub fn error(status: StatusCode, message: &str) -> Self {
        let body = gemini::encode_error(status.as_u16(), message).into();
        Self { status, media_type: JSON, retry_after: None, body }
    }
}

impl From<Reply> for Response<Pieces> {
    fn from(reply: Reply) -> Self {
        let (body, pieces) = mpsc::channel(1);
        let mut response = Response::new(Pieces(pieces));
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.media_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(reply.body.len()));
        if let Some(wait) = reply.retry_after.and_then(|wait| HeaderValue::from_str(&wait).ok()) {
            headers.insert(RETRY_AFTER, wait);
        }
        if !reply.body.is_empty() {
            // The channel is new and has room for one piece.
            drop(body.try_send(Ok(reply.body)));
        }
        response
    }
}

/// The response to a request that is no valid call.
pub(super) fn refusal(status: StatusCode, message: &str) -> Response<Pieces> {
    Reply::error(status, message).into()
}

/// No response at all: hyper closes the connection.
#[derive(Debug)]
pub(super) struct NoReply;

/// The end of a truncated body: hyper closes the connection.
#[derive(Debug)]
pub(super) struct Cut;

macro_rules! on_purpose {
    ($($name:ident),+) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("closed as the script says")
            }
        }

        impl std::error::Error for $name {}
    )+};
}
on_purpose!(NoReply, Cut);

/// A body whose pieces are sent at once.
#[derive(Debug)]
pub(super) struct Pieces(mpsc::Receiver<Result<Bytes, Cut>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
