//! Requests to the origin: signed with the edge key, carrying the user's own token, and bounded in time.

use std::{fmt, rc::Rc, time::Duration};

use futures_util::{StreamExt, stream};
use js_sys::Uint8Array;
use serde::de::DeserializeOwned;
use shared::{
    api::{ApiError, ErrorCode, error::PROBLEM_CONTENT_TYPE},
    auth::{
        edge::{EdgeRequest, sha256},
        sessions::SessionReport,
    },
    http::{
        headers::{CLIENT_IP, SIGNATURE, SIGNATURE_ERROR, X_REQUEST_ID},
        origin_answer::OriginAnswer,
    },
};
use worker::{FixedLengthStream, Headers, Response, Result, worker_sys};

use crate::{
    config::Config,
    log::Scope,
    platform::{self, AbortOnDrop},
    reply::Error,
};

/// After how many seconds a client may try again when the origin does not answer.
const RETRY_S: u64 = 2;
/// The longest answer that is read as a whole, in bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// An answer for a client that is no longer than this is read before it is passed on: if it breaks off, the client gets an
/// error and not half of it.
const MAX_BUFFERED_BYTES: u64 = 64 * 1024;

/// The time that the origin has for an answer to the user object: less than the 10 s that OkHttp waits for a first byte.
const USER_TIMEOUT: Duration = Duration::from_secs(8);

/// A request to the origin beside its own headers.
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// The path with its query.
    pub path_and_query: &'a str,
    /// The body; empty when there is none.
    pub body: &'a [u8],
    /// The id of the request this one serves.
    pub request_id: &'a str,
    /// The client's address; empty when nobody waits, as in a retry.
    pub client_ip: &'a str,
    /// How long the origin may take to the head of its answer, and from there to the next bytes of its body.
    pub timeout: Duration,
}

/// Why the origin gave no answer for a client.
#[derive(Debug)]
pub enum OriginError {
    /// Nothing came for so long.
    Timeout(Duration),
    /// The connection could not be made or broke.
    Unreachable(worker::Error),
    /// It took this request for one that is not the Worker's: keys or clocks differ.
    SignatureRefused(String),
    /// Something before it answered with this status, such as a load balancer.
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

/// The error of a request that needs the origin when that gives no answer.
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

/// The origin's answer to a request of a user.
pub struct UserAnswer<T> {
    /// Its word about the session that asked.
    pub session: SessionReport,
    /// The object that was asked for, or the error that the client gets.
    pub answer: std::result::Result<T, Error>,
}

/// The origin, as the Worker's parts call it.
#[derive(Clone)]
pub struct OriginClient {
    config: Rc<Config>,
}

impl OriginClient {
    /// Makes a client of the origin of this configuration.
    pub const fn new(config: Rc<Config>) -> Self {
        Self { config }
    }

    /// Sends a request to the origin and returns the status and the body of its answer, both within the call's timeout.
    ///
    /// # Errors
    /// See [`OriginError`].
    pub async fn fetch(
        &self,
        call: &Call<'_>,
        headers: Headers,
    ) -> std::result::Result<(u16, Vec<u8>), OriginError> {
        let whole = async {
            let mut answer = send(&self.config, call, headers).await?;
            let status = answer.response.status_code();
            let body = platform::read_whole(&mut answer.response, MAX_ANSWER_BYTES).await?;
            answer.abort.disarm();
            Ok((status, body))
        };
        timeout(call.timeout, whole).await.unwrap_or(Err(OriginError::Timeout(call.timeout)))
    }

    /// Gets something of a user's from the origin. Whatever it answers also says whether the session is active.
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
            request_id: scope.request_id(),
            client_ip: who.client_ip,
            timeout: USER_TIMEOUT,
        };
        let fetched = async {
            let headers = Headers::new();
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

    /// Sends a request to the origin and returns its answer for a client: what comes of its body is passed on as it comes, and
    /// a body that stands still for as long as the call's timeout is broken off.
    ///
    /// # Errors
    /// See [`OriginError`].
    pub async fn forward(
        &self,
        call: &Call<'_>,
        headers: Headers,
    ) -> std::result::Result<Response, OriginError> {
        let answer = send(&self.config, call, headers).await?;
        let status = answer.response.status_code();
        let length = content_length(&answer.response);
        if call.method == "HEAD" || matches!(status, 204 | 304) || length == Some(0) {
            answer.abort.disarm();
            return Ok(answer.response);
        }
        let headers = answer.response.headers().clone();
        let builder = Response::builder().with_status(status).with_headers(headers);
        if length.is_some_and(|length| length <= MAX_BUFFERED_BYTES) {
            let Answer { mut response, abort } = answer;
            let body = timeout(call.timeout, response.bytes()).await;
            let body = body.ok_or(OriginError::Timeout(call.timeout))??;
            abort.disarm();
            return Ok(builder.fixed(body));
        }
        let pieces = pieces(answer, call.timeout)?;
        Ok(match length {
            Some(length) => {
                let sized: worker_sys::FixedLengthStream = FixedLengthStream::wrap(pieces, length).into();
                builder.stream(sized.readable())
            }
            None => builder.from_stream(pieces)?,
        })
    }
}

/// An answer whose body is unread.
struct Answer {
    response: Response,
    abort: AbortOnDrop,
}

async fn send(
    config: &Config,
    call: &Call<'_>,
    headers: Headers,
) -> std::result::Result<Answer, OriginError> {
    let signed = EdgeRequest {
        method: call.method,
        path_and_query: call.path_and_query,
        body_sha256: &sha256(call.body),
        request_id: call.request_id,
        client_ip: call.client_ip,
    };
    let now = platform::now();
    let signature = config.edge_keys.sign(&signed, now, &nonce());
    headers.set(X_REQUEST_ID, call.request_id)?;
    headers.set(CLIENT_IP, call.client_ip)?;
    headers.set(SIGNATURE, &signature)?;
    let url = format!("{}{}", config.origin_url, call.path_and_query);
    let body = (!call.body.is_empty()).then(|| Uint8Array::from(call.body).into());
    let request = platform::outbound(&url, call.method, &headers, body)?;
    let abort = AbortOnDrop::new()?;
    let fetched = platform::fetched(platform::begin_fetch(&request, abort.signal().as_ref()));
    let response = timeout(call.timeout, fetched).await.ok_or(OriginError::Timeout(call.timeout))??;
    let answered = response.headers();
    if let Some(reason) = answered.get(SIGNATURE_ERROR)? {
        return Err(OriginError::SignatureRefused(reason));
    }
    let is_ours = answered.get("Content-Type")?.is_some_and(|media_type| {
        media_type.starts_with(PROBLEM_CONTENT_TYPE) || media_type.starts_with("application/json")
    });
    match response.status_code() {
        status @ 502..=504 if !is_ours && call.method != "HEAD" => Err(OriginError::Gateway(status)),
        _ => Ok(Answer { response, abort }),
    }
}

/// The pieces of an answer's body as they come.
fn pieces(
    answer: Answer,
    silence: Duration,
) -> Result<impl futures_util::Stream<Item = Result<Vec<u8>>> + 'static> {
    let Answer { mut response, abort } = answer;
    let body = response.stream()?;
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

async fn timeout<F: Future>(limit: Duration, waited: F) -> Option<F::Output> {
    platform::within(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), waited).await
}

fn content_length(response: &Response) -> Option<u64> {
    response.headers().get("Content-Length").ok().flatten()?.parse().ok()
}

/// 128 random bits in hex.
fn nonce() -> String {
    use std::fmt::Write;

    platform::random::<16>().iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
