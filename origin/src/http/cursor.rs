//! Cursors: a place in a list, opaque to clients and bound to the list it comes from.
//!
//! A cursor is base64url of `<list>|<place>`. It is not secret and not signed: it only ever narrows a query that is bound
//! to its user anyway.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{
    api::{ApiError, page::Page},
    id::Id,
    time::Timestamp,
};

use crate::store::{
    accounts::TimePosition,
    chats::{ActivityPosition, DeletionPosition},
};

/// A place in a list as text, and back.
pub trait Place: Sized {
    /// Writes it as text, without `|`.
    fn write(&self) -> String;
    /// Parses the text of [`Self::write`].
    fn read(text: &str) -> Option<Self>;
}

impl Place for u64 {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Place for ActivityPosition {
    fn write(&self) -> String {
        TimePosition { at: self.activity_at, id: self.id }.write()
    }

    fn read(text: &str) -> Option<Self> {
        let TimePosition { at, id } = TimePosition::read(text)?;
        Some(Self { activity_at: at, id })
    }
}

impl Place for DeletionPosition {
    fn write(&self) -> String {
        TimePosition { at: self.deleted_at, id: self.id }.write()
    }

    fn read(text: &str) -> Option<Self> {
        let TimePosition { at, id } = TimePosition::read(text)?;
        Some(Self { deleted_at: at, id })
    }
}

impl Place for TimePosition {
    fn write(&self) -> String {
        format!("{}.{}", self.at.as_millis(), self.id)
    }

    fn read(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('.')?;
        Some(Self { at: Timestamp::from_millis(at.parse().ok()?), id: Id::parse(id)? })
    }
}

/// Encodes the cursor of a place in a list. `list` names the list with all that determines its order and items.
pub fn encode<P: Place>(list: &str, place: &P) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}|{}", place.write()))
}

/// Decodes the place of a client's cursor.
///
/// # Errors
///
/// Fails with a 422 for `cursor` when it is not a cursor of this list.
pub fn decode<P: Place>(list: &str, cursor: Option<&str>) -> Result<Option<P>, ApiError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let place = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| {
        let text = String::from_utf8(bytes).ok()?;
        P::read(text.strip_prefix(list)?.strip_prefix('|')?)
    });
    place.map(Some).ok_or_else(|| ApiError::invalid_field("cursor", "is not a cursor of this list"))
}

/// Returns the number of items to read from a store: one more than the page has shows whether another page follows.
pub fn one_more(limit: u32) -> u32 {
    limit.saturating_add(1)
}

/// Cuts the items that a store returned for [`one_more`] to the page, and returns whether another one follows.
pub fn cut<T>(items: &mut Vec<T>, limit: u32) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    more
}

/// Makes the page of the items that a store returned for [`one_more`].
pub fn page<T, P: Place>(mut items: Vec<T>, limit: u32, list: &str, place_of: impl Fn(&T) -> P) -> Page<T> {
    let more = cut(&mut items, limit);
    let next_cursor = items.last().filter(|_| more).map(|last| encode(list, &place_of(last)));
    Page { items, next_cursor }
}

#[cfg(test)]
mod tests {
    use shared::api::ErrorCode;

    use super::*;

    #[test]
    fn cursor_of_other_list_is_refused() {
        let cursor = encode("messages.asc", &7_u64);
        assert_eq!(decode::<u64>("messages.asc", Some(&cursor)), Ok(Some(7)));
        assert_eq!(decode::<u64>("messages.asc", None), Ok(None));
        for (list, cursor) in [
            ("messages.desc", cursor.as_str()),
            ("messages", cursor.as_str()),
            ("messages.asc", "7"),
            ("messages.asc", ""),
            ("messages.asc", "%%%"),
            (
                "messages.asc",
                &encode(
                    "messages.asc",
                    &ActivityPosition::read("7.019aa5d2-8c00-7000-8000-3f6d2b1c9e77").unwrap(),
                ),
            ),
        ] {
            let error = decode::<u64>(list, Some(cursor)).unwrap_err();
            assert_eq!((error.code, error.errors[0].field.as_str()), (ErrorCode::ValidationFailed, "cursor"));
        }
    }

    #[test]
    fn last_page_has_no_cursor() {
        let place = |item: &u64| *item;
        assert_eq!(page(vec![1, 2, 3], 3, "l", place).next_cursor, None);
        let first = page(vec![1, 2, 3, 4], 3, "l", place);
        assert_eq!(first.items, [1, 2, 3]);
        assert_eq!(decode("l", first.next_cursor.as_deref()), Ok(Some(3_u64)));
        assert_eq!(page(Vec::new(), 3, "l", place).next_cursor, None);
    }
}
