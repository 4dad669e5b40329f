//! Wishes in the headers of a request: a stream or JSON, to wait or not, the same request again, the rest of a stream.

use crate::api::error::{ApiError, ErrorCode};

/// The longest idempotency key, in characters.
pub const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;

/// Returns whether the answer is a stream of events, from the `Accept` header and the body's `stream`; else it is JSON.
///
/// If the client accepts both, `stream` decides; without it, a client that names `text/event-stream` and does not
/// prefer JSON gets the stream. Where it accepts one, it gets that one; only `stream: true` is stronger than an `Accept`
/// that names JSON alone, because many client libraries always send such a header.
///
/// Errors: [`ErrorCode::NotAcceptable`] when it accepts neither.
pub fn wants_event_stream(accept: Option<&str>, stream: Option<bool>) -> Result<bool, ApiError> {
    let accept = accept.filter(|value| !value.trim().is_empty()).unwrap_or("*/*");
    let events = quality(accept, "text", "event-stream");
    let json = quality(accept, "application", "json");
    match (events.weight > 0, json.weight > 0) {
        (false, false) => Err(ErrorCode::NotAcceptable.into()),
        (true, false) => Ok(true),
        (false, true) => Ok(stream == Some(true)),
        (true, true) => Ok(stream.unwrap_or(events.is_explicit && events.weight >= json.weight)),
    }
}

/// Returns whether the client rather takes a 202 now than the answer later (`Prefer: respond-async`, RFC 7240).
pub fn prefer_respond_async(prefer: Option<&str>) -> bool {
    prefer.is_some_and(|value| {
        split_unquoted(value, b',').any(|preference| {
            split_unquoted(preference, b';')
                .next()
                .is_some_and(|name| name.trim().eq_ignore_ascii_case("respond-async"))
        })
    })
}

/// The name under which a request may be sent again, from the `Idempotency-Key` header or the body's
/// `client_message_id`: 1 to [`MAX_IDEMPOTENCY_KEY_CHARS`] visible ASCII characters.
///
/// Errors: [`ErrorCode::InvalidRequest`] for a header of another form, [`ErrorCode::ValidationFailed`] for a field of
/// another form or one that differs from the header.
pub fn idempotency_key(
    header: Option<&str>,
    client_message_id: Option<&str>,
) -> Result<Option<String>, ApiError> {
    const FIELD: &str = "client_message_id";
    const FORM: &str = "must be 1 to 255 visible ASCII characters";
    if header.is_some_and(|key| !is_key(key)) {
        return Err(ApiError::new(ErrorCode::InvalidRequest, format!("Idempotency-Key {FORM}")));
    }
    if client_message_id.is_some_and(|key| !is_key(key)) {
        return Err(ApiError::invalid_field(FIELD, FORM));
    }
    match (header, client_message_id) {
        (Some(header), Some(field)) if header != field => {
            Err(ApiError::invalid_field(FIELD, "differs from the Idempotency-Key header"))
        }
        (header, field) => Ok(header.or(field).map(str::to_owned)),
    }
}

/// The id of the last event a reader has, 0 for none. `Last-Event-ID` is stronger than `?after=`: a browser that
/// reconnects repeats the query it began with and says in the header how far it got.
///
/// Errors: [`ErrorCode::InvalidRequest`] when either is there and not a number.
pub fn event_cursor(last_event_id: Option<&str>, after: Option<&str>) -> Result<u64, ApiError> {
    let last_event_id = last_event_id.map(str::trim).filter(|id| !id.is_empty());
    let last_event_id = last_event_id.map(|id| event_id("Last-Event-ID", id)).transpose()?;
    let after = after.map(|id| event_id("after", id)).transpose()?;
    Ok(last_event_id.or(after).unwrap_or(0))
}

fn event_id(name: &str, value: &str) -> Result<u64, ApiError> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| ApiError::new(ErrorCode::InvalidRequest, format!("{name} must be the id of an event")))
}

fn is_key(key: &str) -> bool {
    (1..=MAX_IDEMPOTENCY_KEY_CHARS).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
}

/// The preference of a client for a media type.
#[derive(Clone, Copy, Default)]
struct Quality {
    /// The `q` value in thousandths; 0 when it does not accept the type.
    weight: u16,
    /// True when it names the type itself, not only a range around it.
    is_explicit: bool,
}

/// Reads the preference for a media type in an `Accept` header: the most specific range that fits counts (RFC 9110, 12.5.1).
fn quality(accept: &str, kind: &str, subtype: &str) -> Quality {
    let mut best = (0, Quality::default());
    for range in split_unquoted(accept, b',') {
        let mut parts = split_unquoted(range, b';').map(str::trim);
        let Some((range_kind, range_subtype)) = parts.next().and_then(|name| name.split_once('/')) else {
            continue;
        };
        let kind_fits = range_kind.eq_ignore_ascii_case(kind);
        let specificity = match range_subtype {
            "*" if range_kind == "*" => 1,
            "*" if kind_fits => 2,
            name if kind_fits && name.eq_ignore_ascii_case(subtype) => 3,
            _ => continue,
        };
        if specificity > best.0 {
            let weight = parts.find_map(weight).unwrap_or(1000);
            best = (specificity, Quality { weight, is_explicit: specificity == 3 });
        }
    }
    best.1
}

/// The thousandths of a `q` parameter; `None` for other parameters. A value that is no weight counts as 1.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let weight = match (whole, fraction.len()) {
        ("0", 0..=3) if fraction.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{fraction:0<3}").parse().ok()
        }
        _ => None,
    };
    Some(weight.unwrap_or(1000))
}

/// Splits at a separator that does not stand within a quoted string.
fn split_unquoted(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return !quoted && c == char::from(separator),
        }
        false
    })
}

#[cfg(test)]
mod tests;
