//! Requests to the origin: signed with the edge key, with the user's token, and bounded in time.
//!
//! - [`error`]: the reasons why there is no answer
//! - [`response`]: responses, checked and passed on

mod error;
mod response;

use std::{borrow::Cow, rc::Rc, time::Duration};

use serde::de::DeserializeOwned;
use shared::{
    auth::{
        consent_gate,
        consents::RequiredDocument,
        edge::{EdgeRequest, sha256},
        sessions::SessionReport,
    },
    http::{
        headers::{CLIENT_IP, MISSING_CONSENTS, SIGNATURE, USER_EVENTS, X_REQUEST_ID},
        origin_answer::OriginAnswer,
    },
    id::Id,
    telemetry::TRACEPARENT,
};
use worker::Result;

pub use self::error::{OriginError, unavailable};
use self::response::{FORWARDED, JUDGED, buffered, judge, timeout};
use crate::{
    config::Config,
    log::Scope,
    platform::{self, AbortOnDrop, HeaderLines, HttpCall, ResponseHead},
    reply::Error,
    telemetry::{OpenSpan, handed_on},
};

/// The longest response that is read as a whole, in bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
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
    /// The documents that the user is to agree to, where it says so.
    pub missing_consents: Option<Vec<RequiredDocument>>,
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
        let (head, body) = self.fetch_with_head(call, headers).await?;
        Ok((head.status, body))
    }

    async fn fetch_with_head(
        &self,
        call: &Call<'_>,
        headers: HeaderLines,
    ) -> std::result::Result<(ResponseHead, Vec<u8>), OriginError> {
        let mut span =
            self.span(call, || Cow::Owned(format!("{} {}", call.method, template(call.path_and_query))));
        let answer = self.fetch_within(&span, call, headers).await;
        end_span(&mut span, answer.as_ref().map(|(head, _)| head.status));
        answer
    }

    async fn fetch_within(
        &self,
        span: &OpenSpan,
        call: &Call<'_>,
        headers: HeaderLines,
    ) -> std::result::Result<(ResponseHead, Vec<u8>), OriginError> {
        let (url, headers) = self.signed(span, call, headers)?;
        let answer = HttpCall::begin(call.method, &url, &headers, call.body, JUDGED).whole(MAX_ANSWER_BYTES);
        let answer = timeout(call.timeout, answer).await.ok_or(OriginError::Timeout(call.timeout))?;
        let (head, body) = answer.map_err(worker::Error::RustError)?;
        judge(call.method, head.status, |name| head.get(name))?;
        Ok((head, body))
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
            self.fetch_with_head(&call, headers).await
        };
        let (answer, why) = match fetched.await {
            Ok((head, body)) => match OriginAnswer::of(head.status, &body) {
                OriginAnswer::Found => {
                    let found = serde_json::from_slice(&body).map_err(|error| Error::Internal(error.into()));
                    let missing_consents = head.get(MISSING_CONSENTS).and_then(consent_gate::from_header);
                    return UserAnswer { session: SessionReport::Active, missing_consents, answer: found };
                }
                OriginAnswer::Refused(code) => {
                    let session = OriginAnswer::Refused(code).session();
                    return UserAnswer { session, missing_consents: None, answer: Err(code.into()) };
                }
                OriginAnswer::Failed => (OriginAnswer::Failed, format!("it answered {}", head.status)),
            },
            Err(error) => (OriginAnswer::Failed, error.to_string()),
        };
        scope.error(&format!("the origin, GET {path}"), &why);
        UserAnswer { session: answer.session(), missing_consents: None, answer: Err(unavailable().into()) }
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
        for name in [USER_EVENTS, MISSING_CONSENTS].into_iter().filter(|name| head.get(name).is_some()) {
            response.headers().delete(name).map_err(worker::Error::from)?;
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

/// Returns 128 random bits in hex.
fn nonce() -> String {
    use std::fmt::Write;

    platform::random::<16>().iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
