//! Lists: one shape, one way to ask for the next page.

use garde::Validate;
use serde::{Deserialize, Serialize};

/// Items of a page when the client does not say.
pub const DEFAULT_LIMIT: u32 = 20;
/// Items of a page at most.
pub const MAX_LIMIT: u32 = 100;

/// The most characters of a cursor.
pub const MAX_CURSOR_CHARS: usize = 256;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Send it as `cursor` to get the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// The query parameters every list takes.
#[derive(Clone, Debug, Default, Deserialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct PageQuery {
    /// The most items of the page, 1 to 100.
    #[serde(default)]
    #[garde(inner(range(min = 1, max = MAX_LIMIT)))]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default)]
    #[garde(inner(length(chars, max = MAX_CURSOR_CHARS)))]
    pub cursor: Option<String>,
}

impl PageQuery {
    /// Items of the page.
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

/// The order of a list by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Order {
    /// Oldest first.
    #[default]
    Asc,
    /// Newest first.
    Desc,
}
