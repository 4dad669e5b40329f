//! Bodies of requests: how large they may be, how long they may take, how much of them one process holds, and what their
//! headers say about them. Both sides read bodies by these rules.

use crate::api::error::{ApiError, ErrorCode};

/// A body of which nothing comes for so long is given up, in milliseconds.
pub const BODY_SILENCE_MS: u64 = 10_000;
/// A body that takes longer than this at the edge is given up, in milliseconds: 1 MiB at 18 KB/s, a phone's slowest network.
pub const BODY_TIMEOUT_MS: u64 = 60_000;
/// Bytes of a body that is refused that are read and dropped all the same: a client that still sends while its connection is
/// closed may see that, and not the answer (RFC 9112, section 9.6).
pub const MAX_DRAINED_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of bodies that one isolate of the Worker holds at once.
pub const HELD_BODIES_BYTES: usize = 32 * 1024 * 1024;

/// Checks the headers of a request with a body: a content coding, which nobody here decodes, is a 415.
pub fn check_content_coding(content_encoding: Option<&str>) -> Result<(), ApiError> {
    let codings = content_encoding.unwrap_or_default().split(',').map(str::trim);
    if codings.filter(|coding| !coding.is_empty()).all(|coding| coding.eq_ignore_ascii_case("identity")) {
        Ok(())
    } else {
        Err(ApiError::content_coding_refused())
    }
}

/// Returns whether a `Content-Type` is JSON; parameters do not count.
pub fn is_json(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The error of a body that did not arrive in time.
pub fn too_slow() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "The body did not arrive in time")
}

/// The error of a body that ended before its length.
pub fn cut_off() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "The body was cut off")
}

/// Bytes that are held for many requests at once, and the most there may be.
#[derive(Debug)]
pub struct ByteBudget {
    limit: usize,
    held: usize,
}

impl ByteBudget {
    /// An unused budget of so many bytes.
    pub const fn new(limit: usize) -> Self {
        Self { limit, held: 0 }
    }

    /// Takes bytes out of the budget.
    ///
    /// Errors: [`ErrorCode::Overloaded`] when that many are not left; nothing is taken then.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), ApiError> {
        match self.held.checked_add(bytes) {
            Some(held) if held <= self.limit => {
                self.held = held;
                Ok(())
            }
            _ => Err(ApiError::from(ErrorCode::Overloaded).retry_after(1)),
        }
    }

    /// Gives bytes back.
    pub fn release(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, true)]
    #[case(Some(""), true)]
    #[case(Some("identity"), true)]
    #[case(Some("Identity, identity"), true)]
    #[case(Some("gzip"), false)]
    #[case(Some("identity, br"), false)]
    fn content_coding_other_than_identity_is_refused(#[case] header: Option<&str>, #[case] taken: bool) {
        let error = check_content_coding(header).err();
        assert_eq!(error.is_none(), taken);
        if let Some(error) = error {
            assert_eq!(error.code, ErrorCode::UnsupportedMediaType);
            assert_eq!(error.headers(), [("Accept-Encoding", "identity".to_owned())]);
        }
    }

    #[rstest]
    #[case(None, false)]
    #[case(Some("application/json"), true)]
    #[case(Some("Application/JSON ; charset=utf-8"), true)]
    #[case(Some("application/json5"), false)]
    #[case(Some("text/plain"), false)]
    fn json_is_known_by_its_essence(#[case] header: Option<&str>, #[case] expected: bool) {
        assert_eq!(is_json(header), expected);
    }

    #[test]
    fn budget_that_is_exceeded_takes_nothing() {
        let mut budget = ByteBudget::new(10);
        assert_eq!(budget.reserve(10), Ok(()));
        let error = budget.reserve(1).unwrap_err();
        assert_eq!((error.code, error.retry_after_s), (ErrorCode::Overloaded, Some(1)));
        assert!(budget.reserve(usize::MAX).is_err());
        budget.release(4);
        assert_eq!(budget.reserve(4), Ok(()));
        assert!(budget.reserve(1).is_err());
    }

    proptest! {
        #[test]
        fn budget_never_holds_more_than_its_limit(sizes in prop::collection::vec(0usize..40, 0..40)) {
            let (mut budget, mut held) = (ByteBudget::new(100), Vec::new());
            for size in sizes {
                if budget.reserve(size).is_ok() {
                    held.push(size);
                } else if let Some(first) = held.pop() {
                    budget.release(first);
                }
                prop_assert_eq!(budget.held, held.iter().sum::<usize>());
                prop_assert!(budget.held <= 100);
            }
        }
    }
}
