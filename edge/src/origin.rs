//! Requests to the origin: signed with the edge key, with the user's token, and bounded in time.

use std::{borrow::Cow, fmt, rc::Rc, time::Duration};

use futures_util::{StreamExt, stream};
use serde::de::DeserializeOwned;
use shared::{
    api::{ApiError, ErrorCode, error::PROBLEM_CONTENT_TYPE},
    auth::{
        edge::{EdgeRequest, sha256},
        sessions::SessionReport,
    },
    http::{
        headers::{CLIENT_IP, SIGNATURE, SIGNATURE_ERROR, USER_EVENTS, X_REQUEST_ID},
        origin_answer::OriginAnswer,
    },
    id::Id,
    telemetry::TRACEPARENT,
};
use wasm_bindgen_futures::JsFuture;
use worker::{FixedLengthStream, Response, Result, worker_sys};

use crate::{
    config::Config,
    log::Scope,
    platform::{self, AbortOnDrop, HeaderLines, HttpCall, ResponseHead},
    reply::Error,
    telemetry::{OpenSpan, handed_on},
};

/// The seconds after which a client may retry when the origin does not answer.
const RETRY_S: u64 = 2;
/// The longest response that is read as a whole, in bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// The longest response that is buffered before it is forwarded to a client: if it breaks, the client gets an error and not a
/// part of it.
const MAX_BUFFERED_BYTES: u64 = 64 * 1024;

/// The timeout of the user object's requests: less than the 10 s that OkHttp waits for a first byte.
const USER_TIMEOUT: Duration = Duration::from_secs(8);

/// A request to the origin, without its headers.
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// The path with its query.
    pub path_and_query: &'a str,
    /// The body; empty when there is none.
    pub body: &'a [u8],
    /// The client's request, and its span.
    pub scope: &'a Scope,
    /// The client's address; empty without a client, as in a retry.
    pub client_ip: &'a str,
    /// The timeout of the response's head, and of each further read of its body.
    pub timeout: Duration,
}

/// An answer of the origin for a client.
pub struct Forwarded {
    /// The answer, without what is not for the client.
    pub response: web_sys::Response,
    /// The events for user objects that it came with, as JSON.
    pub events: Option<String>,
}

/// Why the origin gave no answer for a client.
#[derive(Debug)]
pub enum OriginError {
    /// Nothing arrived for this time.
    Timeout(Duration),
    /// The connection could not be made or broke.
    Unreachable(worker::Error),
    /// It refused the Worker's signature: keys or clocks differ.
    SignatureRefused(String),
    /// A gateway in front of it, such as a load balancer, answered with this status.
    Gateway(u16),
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(timeout) => write!(f, "the origin was silent for {} ms", timeout.as_millis()),
            Self::Unreachable(error) => write!(f, "the origin cannot be reached: {error}"),
            Self::SignatureRefused(reason) => write!(f, "the origin refused the signature: {reason}"),
            Self::Gateway(status) => write!(f, "a gateway before the origin answered {status}"),
        }
    }
}

impl From<worker::Error> for OriginError {
    fn from(error: worker::Error) -> Self {
        Self::Unreachable(error)
    }
}

impl From<OriginError> for worker::Error {
    fn from(error: OriginError) -> Self {
        match error {
            OriginError::Unreachable(error) => error,
            error => Self::RustError(error.to_string()),
        }
    }
}

/// Returns the error of a request that needs the origin during its outage.
pub fn unavailable() -> ApiError {
    ApiError::from(ErrorCode::OriginUnavailable).retry_after(RETRY_S)
}

/// The user that a request to the origin is made for.
#[derive(Clone, Copy)]
pub struct OnBehalf<'a> {
    /// The user's access token.
    pub token: &'a str,
    /// The client's address.
    pub client_ip: &'a str,
}

/// The origin's response to a request of a user.
pub struct UserAnswer<T> {
    /// Its report on the user's session.
    pub session: SessionReport,
    /// The requested object, or the error for the client.
    pub answer: std::result::Result<T, Error>,
}

/// The origin, as the Worker's parts call it.
#[derive(Clone)]
pub struct OriginClient {
    config: Rc<Config>,
}

impl OriginClient {
    /// Creates a client of the origin of this configuration.
    pub const fn new(config: Rc<Config>) -> Self {
        Self { config }
    }

    /// Sends a request to the origin and returns the status and the body of its response, both within the call's timeout.
    ///
    /// # Errors
    /// Fails with [`OriginError`] when there is no response of the origin.
    pub async fn fetch(
        &self,
        call: &Call<'_>,
        headers: HeaderLines,
    ) -> std::result::Result<(u16, Vec<u8>), OriginError> {
        let mut span =
            self.span(call, || Cow::Owned(format!("{} {}", call.method, template(call.path_and_query))));
        let answer = self.fetch_within(&span, call, headers).await;
        end_span(&mut span, answer.as_ref().map(|(status, _)| *status));
        answer
    }

    async fn fetch_within(
        &self,
        span: &OpenSpan,
        call: &Call<'_>,
        headers: HeaderLines,
    ) -> std::result::Result<(u16, Vec<u8>), OriginError> {
        let (url, headers) = self.signed(span, call, headers)?;
        let answer = HttpCall::begin(call.method, &url, &headers, call.body, JUDGED).whole(MAX_ANSWER_BYTES);
        let answer = timeout(call.timeout, answer).await.ok_or(OriginError::Timeout(call.timeout))?;
        let (head, body) = answer.map_err(worker::Error::RustError)?;
        judge(call.method, head.status, |name| head.get(name))?;
        Ok((head.status, body))
    }

    /// Begins the span of a call.
    fn span(&self, call: &Call<'_>, name: impl FnOnce() -> Cow<'static, str>) -> OpenSpan {
        let mut span =
            if self.config.traces.is_some() { OpenSpan::call(call.scope, name) } else { OpenSpan::default() };
        if span.is_recorded() {
            span.set("http.request.method", call.method.to_owned());
            // Without its query, which may hold words that a person searched for.
            span.set("url.full", format!("{}{}", self.config.origin_url, path_of(call.path_and_query)));
        }
        span
    }

    /// Gets an object of a user from the origin. Every response also reports whether the session is active.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        who: OnBehalf<'_>,
        scope: &Scope,
    ) -> UserAnswer<T> {
        let call = Call {
            method: "GET",
            path_and_query: path,
            body: &[],
            scope,
            client_ip: who.client_ip,
            timeout: USER_TIMEOUT,
        };
        let fetched = async {
            let mut headers = HeaderLines::default();
            headers.set("Authorization", &format!("Bearer {}", who.token))?;
            self.fetch(&call, headers).await
        };
        let (answer, why) = match fetched.await {
            Ok((status, body)) => match OriginAnswer::of(status, &body) {
                OriginAnswer::Found => {
                    let found = serde_json::from_slice(&body).map_err(|error| Error::Internal(error.into()));
                    return UserAnswer { session: SessionReport::Active, answer: found };
                }
                OriginAnswer::Refused(code) => {
                    let session = OriginAnswer::Refused(code).session();
                    return UserAnswer { session, answer: Err(code.into()) };
                }
                OriginAnswer::Failed => (OriginAnswer::Failed, format!("it answered {status}")),
            },
            Err(error) => (OriginAnswer::Failed, error.to_string()),
        };
        scope.error(&format!("the origin, GET {path}"), &why);
        UserAnswer { session: answer.session(), answer: Err(unavailable().into()) }
    }

    /// Sends a request to the origin and returns its response for a client: the body is streamed, and aborted when it stalls for
    /// the call's timeout.
    ///
    /// # Errors
    /// Fails with [`OriginError`] when there is no response of the origin.
    pub async fn forward(
        &self,
        call: &Call<'_>,
        headers: HeaderLines,
    ) -> std::result::Result<Forwarded, OriginError> {
        // The path is in the origin's own span: a client may have made it up.
        let mut span = self.span(call, || Cow::Owned(call.method.to_owned()));
        let sent = self.send(&span, call, headers).await;
        end_span(&mut span, sent.as_ref().map(|(_, head, _)| head.status));
        drop(span);
        let (response, head, abort) = sent?;
        let response = buffered(call, response, &head, abort).await?;
        let events = head.get(USER_EVENTS).map(str::to_owned);
        if events.is_some() {
            response.headers().delete(USER_EVENTS).map_err(worker::Error::from)?;
        }
        Ok(Forwarded { response, events })
    }

    /// Sends a request whose answer is for a client, and waits for the head of that.
    async fn send(
        &self,
        span: &OpenSpan,
        call: &Call<'_>,
        headers: HeaderLines,
    ) -> std::result::Result<(web_sys::Response, ResponseHead, AbortOnDrop), OriginError> {
        let (url, headers) = self.signed(span, call, headers)?;
        let abort = AbortOnDrop::new()?;
        let signal = abort.signal();
        let sent = platform::send(call.method, &url, &headers, call.body, signal.as_ref());
        let response = timeout(call.timeout, sent).await.ok_or(OriginError::Timeout(call.timeout))??;
        let head = ResponseHead::of(&response, FORWARDED);
        judge(call.method, head.status, |name| head.get(name))?;
        Ok((response, head, abort))
    }

    /// Returns the address of a call, and its headers with those that sign it and with its place in the trace.
    fn signed(
        &self,
        span: &OpenSpan,
        call: &Call<'_>,
        mut headers: HeaderLines,
    ) -> Result<(String, HeaderLines)> {
        let signed = EdgeRequest {
            method: call.method,
            path_and_query: call.path_and_query,
            body_sha256: &sha256(call.body),
            request_id: call.scope.request_id(),
            client_ip: call.client_ip,
        };
        let signature = self.config.edge_keys.sign(&signed, platform::now(), &nonce());
        headers.set(X_REQUEST_ID, call.scope.request_id())?;
        if let Some(context) = handed_on(span, call.scope).filter(|_| self.config.traces.is_some()) {
            headers.set(TRACEPARENT, &context.to_string())?;
        }
        headers.set(CLIENT_IP, call.client_ip)?;
        headers.set(SIGNATURE, &signature)?;
        Ok((format!("{}{}", self.config.origin_url, call.path_and_query), headers))
    }
}

/// The headers that show whether a response is the origin's own.
const JUDGED: &[&str] = &[SIGNATURE_ERROR, "Content-Type"];
/// The same, for one that is passed on.
const FORWARDED: &[&str] = &[SIGNATURE_ERROR, USER_EVENTS, "Content-Type", "Content-Length"];

/// Makes a response for a client of a fetched one. A short body is read first: if it breaks off, the client gets an error and
/// not half of it.
async fn buffered(
    call: &Call<'_>,
    response: web_sys::Response,
    head: &ResponseHead,
    abort: AbortOnDrop,
) -> std::result::Result<web_sys::Response, OriginError> {
    let length: Option<u64> = head.get("Content-Length").and_then(|length| length.parse().ok());
    if call.method == "HEAD" || matches!(head.status, 204 | 304) || length == Some(0) {
        abort.disarm();
        return Ok(platform::own(&response)?);
    }
    if length.is_some_and(|length| length <= MAX_BUFFERED_BYTES) {
        let whole = JsFuture::from(response.array_buffer().map_err(worker::Error::from)?);
        let body = timeout(call.timeout, whole).await.ok_or(OriginError::Timeout(call.timeout))?;
        abort.disarm();
        return Ok(platform::own_with_body(&response, &body.map_err(worker::Error::from)?)?);
    }
    let headers = response.headers();
    let pieces = pieces(response, abort, call.timeout)?;
    let builder = Response::builder().with_status(head.status).with_headers(worker::Headers(headers));
    Ok(match length {
        Some(length) => {
            let sized: worker_sys::FixedLengthStream = FixedLengthStream::wrap(pieces, length).into();
            builder.stream(sized.readable())
        }
        None => builder.from_stream(pieces)?,
    }
    .into())
}

/// Checks that a response is the origin's own.
fn judge<'a>(
    method: &str,
    status: u16,
    header: impl Fn(&str) -> Option<&'a str>,
) -> std::result::Result<(), OriginError> {
    if let Some(reason) = header(SIGNATURE_ERROR) {
        return Err(OriginError::SignatureRefused(reason.to_owned()));
    }
    let is_ours = header("Content-Type").is_some_and(|media_type| {
        media_type.starts_with(PROBLEM_CONTENT_TYPE) || media_type.starts_with("application/json")
    });
    if (502..=504).contains(&status) && !is_ours && method != "HEAD" {
        return Err(OriginError::Gateway(status));
    }
    Ok(())
}

/// Streams the chunks of a response's body.
fn pieces(
    response: web_sys::Response,
    abort: AbortOnDrop,
    silence: Duration,
) -> Result<impl futures_util::Stream<Item = Result<Vec<u8>>> + 'static> {
    let body = Response::from(response).stream()?;
    Ok(stream::unfold(Some((body, abort)), move |state| async move {
        let (mut body, abort) = state?;
        match timeout(silence, body.next()).await {
            Some(Some(Ok(piece))) => Some((Ok(piece), Some((body, abort)))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => {
                abort.disarm();
                None
            }
            None => Some((Err(OriginError::Timeout(silence).into()), None)),
        }
    }))
}

/// Returns a path of our own without its query and with `{id}` in the place of ids.
fn template(path_and_query: &str) -> String {
    let segments = path_of(path_and_query)
        .split('/')
        .map(|segment| if Id::parse(segment).is_some() { "{id}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn path_of(path_and_query: &str) -> &str {
    path_and_query.split('?').next().unwrap_or_default()
}

/// Tells a span how its call ended.
fn end_span(span: &mut OpenSpan, status: std::result::Result<u16, &OriginError>) {
    if !span.is_recorded() {
        return;
    }
    match status {
        Ok(status) => {
            span.set("http.response.status_code", status);
            if status >= 400 {
                span.fail("");
            }
        }
        Err(error) => span.fail(error.to_string()),
    }
}

async fn timeout<F: Future>(limit: Duration, waited: F) -> Option<F::Output> {
    platform::timeout(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), waited).await
}

/// Returns 128 random bits in hex.
fn nonce() -> String {
    use std::fmt::Write;

    platform::random::<16>().iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
