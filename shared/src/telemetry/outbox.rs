//! The state of a user's outbox, told with each delivery in the query of the request: there it is signed, and the turn in the
//! body stays what it is however often it is delivered.

use crate::api::internal::TURNS_PATH;

/// The names in the query.
const WAITED_MS: &str = "waited_ms";
const BEHIND: &str = "behind";

/// The state of an outbox when a turn is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxReport {
    /// Milliseconds since the end of the turn.
    pub waited_ms: u64,
    /// The other turns of the user that wait.
    pub behind: u64,
}

impl OutboxReport {
    /// Returns the path to which a turn is posted, with this in its query.
    pub fn path(self) -> String {
        format!("{TURNS_PATH}?{WAITED_MS}={}&{BEHIND}={}", self.waited_ms, self.behind)
    }

    /// Reads the query of a delivery; none when it says nothing of it, as that of an earlier version.
    pub fn parse(query: &str) -> Option<Self> {
        let find = |name| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(known, _)| *known == name).and_then(|(_, value)| value.parse().ok())
        };
        Some(Self { waited_ms: find(WAITED_MS)?, behind: find(BEHIND)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn report_is_read_as_it_was_written(waited_ms: u64, behind: u64) {
            let report = OutboxReport { waited_ms, behind };
            let path = report.path();
            let (path, query) = path.split_once('?').unwrap();
            prop_assert_eq!((path, OutboxReport::parse(query)), (TURNS_PATH, Some(report)));
        }
    }

    #[test]
    fn query_of_another_version_says_nothing() {
        for query in ["", "waited_ms=1", "behind=2", "waited_ms=-1&behind=2", "waited_ms=x&behind=2"] {
            assert_eq!(OutboxReport::parse(query), None, "{query}");
        }
    }
}
