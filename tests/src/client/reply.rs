//! A whole answer.

use bytes::Bytes;
use reqwest::{Response, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::api::{ErrorCode, Problem, error::PROBLEM_CONTENT_TYPE};

/// Status, headers and body of an answer.
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

    /// The value of a header, when it is there once.
    ///
    /// # Panics
    /// When it is there more than once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        assert!(values.next().is_none(), "{name} is there more than once: {self:?}");
        value
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    pub fn value(&self) -> Value {
        self.json()
    }

    /// The body as one of the API's types.
    ///
    /// # Panics
    /// When it is not.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// This answer, which must have this status.
    ///
    /// # Panics
    /// When it has another.
    #[must_use]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// The one error body of the API, with this code and its status, and the request id of the header.
    ///
    /// # Panics
    /// When any of it is different.
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
