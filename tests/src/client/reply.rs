//! A whole response.

use bytes::Bytes;
use reqwest::{Response, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::api::{ErrorCode, Problem, error::PROBLEM_CONTENT_TYPE};

/// The status, headers and body of a response.
#[derive(Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    what: String,
}

impl Reply {
    pub(super) async fn read(response: Response, what: String) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await?, what })
    }

    /// Returns the value of a header, `None` when it is absent.
    ///
    /// # Panics
    /// Panics when it is present more than once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        assert!(values.next().is_none(), "{name} is present more than once: {self:?}");
        value
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// Panics when it is no JSON.
    pub fn value(&self) -> Value {
        self.json()
    }

    /// Returns the body as one of the API's types.
    ///
    /// # Panics
    /// Panics when it is not of that type.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Asserts the status and returns the reply.
    ///
    /// # Panics
    /// Panics when the status is another.
    #[must_use]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Returns the error body, after asserting its code, its status and the request id of the header.
    ///
    /// # Panics
    /// Panics when any of it is different.
    pub fn problem(&self, code: ErrorCode) -> Problem {
        assert_eq!(self.status, code.status(), "{self:?}");
        assert_eq!(self.header("content-type"), Some(PROBLEM_CONTENT_TYPE), "{self:?}");
        let problem: Problem = self.json();
        assert_eq!((problem.code, problem.status), (code, code.status()), "{self:?}");
        assert_eq!(Some(problem.request_id.as_str()), self.header("x-request-id"), "{self:?}");
        assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{self:?}");
        assert_eq!(self.header("www-authenticate").is_some(), self.status == 401, "{self:?}");
        problem
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 2_000;
        let body: String = self.text().chars().take(SHOWN).collect();
        write!(f, "{} → {} {:?} {body}", self.what, self.status, self.headers)
    }
}
