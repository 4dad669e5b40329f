//! Ids: UUIDv7 (RFC 9562), built from a given time and given randomness, so that they sort by creation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// Bytes of randomness an id needs besides its time.
pub const RANDOM_BYTES: usize = 10;

/// The id of a user, session, conversation, message or turn. On the wire: a lower-case UUID string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid", example = "019aa5d2-8c00-7000-8000-3f6d2b1c9e77"))]
pub struct Id(Uuid);

impl Id {
    /// Creates a UUIDv7 of the time `now` with the given randomness. Times before 1970 count as 1970.
    pub fn new(now: Timestamp, random: [u8; RANDOM_BYTES]) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Parses an id; `None` for anything but a hyphenated UUID.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 {
            return None;
        }
        Uuid::try_parse(text).ok().map(Self)
    }

    /// Returns the id of these sixteen bytes, as [`Self::as_bytes`] returned them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The time in the first 48 bits of the id, for one that [`Self::new`] made.
    pub fn timestamp(&self) -> Timestamp {
        let [a, b, c, d, e, f, ..] = *self.as_bytes();
        Timestamp::from_millis(i64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The sixteen bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// The error of a text that is no id.
#[derive(Debug, thiserror::Error)]
#[error("not a UUID")]
pub struct NotAnId;

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        Self::parse(text).ok_or(NotAnId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_carry_version_7() {
        let earlier = Id::new(Timestamp::from_millis(1_000), [0xff; RANDOM_BYTES]);
        let later = Id::new(Timestamp::from_millis(1_001), [0; RANDOM_BYTES]);
        assert!(earlier < later);
        assert!(earlier.to_string() < later.to_string());
        assert_eq!(earlier.to_string().as_bytes()[14], b'7');
        assert_eq!(Id::parse(&later.to_string()), Some(later));
        assert_eq!(later.timestamp(), Timestamp::from_millis(1_001));
    }

    #[test]
    fn text_other_than_hyphenated_uuid_is_no_id() {
        for bad in ["", "1", "019aa5d28c0070008000 3f6d2b1c9e77", "{019aa5d2-8c00-7000-8000-3f6d2b1c9e77}"] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }
}
