//! `Retry-After` as others send it (RFC 9110, section 10.2.3): seconds, or a date in any of the three forms of HTTP.

use crate::time::{SECOND_MS, Timestamp};

/// The longest wait that is passed on, in seconds: a day. What asks for more has a clock or a mind of its own.
pub const MAX_RETRY_AFTER_S: u64 = 86_400;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads a `Retry-After` in seconds, at most [`MAX_RETRY_AFTER_S`]. A date counts from the response's own `Date`, where it
/// has a readable one, so that clocks need not agree; else from `now`. One that is past is 0.
pub fn retry_after_s(value: &str, date: Option<&str>, now: Timestamp) -> Option<u64> {
    let value = value.trim();
    let seconds = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().unwrap_or(u64::MAX)
    } else {
        let from = date.and_then(|date| http_date(date, now)).unwrap_or(now);
        let wait_ms = http_date(value, now)?.millis_since(from).max(0).unsigned_abs();
        wait_ms.div_ceil(SECOND_MS.unsigned_abs())
    };
    Some(seconds.min(MAX_RETRY_AFTER_S))
}

/// Reads a date of HTTP (RFC 9110, section 5.6.7): IMF-fixdate, or the obsolete forms of RFC 850 and asctime.
fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let words: Vec<&str> = text.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let ([_, day, month, year, time, "GMT"] | [_, month, day, time, year]) = words.as_slice() else {
        return None;
    };
    let month = MONTHS.iter().position(|name| name == month)? + 1;
    let day: u8 = day.parse().ok()?;
    let year = match year.len() {
        4 => year.parse().ok()?,
        2 => century(year.parse().ok()?, now)?,
        _ => return None,
    };
    Timestamp::parse(&format!("{year:04}-{month:02}-{day:02}T{time}Z"))
}

/// The year of two digits: one that would be more than 50 years ahead is of the past century.
fn century(year: u32, now: Timestamp) -> Option<u32> {
    let this_year: u32 = now.day().get(..4)?.parse().ok()?;
    let year = this_year - this_year % 100 + year;
    Some(if year > this_year + 50 { year - 100 } else { year })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Sun, 22 Nov 2026 09:30:00 GMT.
    const NOW: Timestamp = Timestamp::from_millis(1_795_339_800_000);

    #[rstest]
    #[case::seconds("120", None, Some(120))]
    #[case::blanks(" 7 ", None, Some(7))]
    #[case::now("0", None, Some(0))]
    #[case::for_ever("99999999999999999999999", None, Some(MAX_RETRY_AFTER_S))]
    #[case::imf_fixdate("Sun, 22 Nov 2026 09:30:30 GMT", None, Some(30))]
    #[case::rfc_850("Sunday, 22-Nov-26 09:30:31 GMT", None, Some(31))]
    #[case::asctime("Sun Nov 22 09:30:32 2026", None, Some(32))]
    #[case::asctime_of_a_short_day("Tue Dec  1 09:30:00 2026", None, Some(MAX_RETRY_AFTER_S))]
    #[case::past("Sun, 22 Nov 2026 09:29:59 GMT", None, Some(0))]
    #[case::past_century("Sunday, 06-Nov-94 08:49:37 GMT", None, Some(0))]
    #[case::from_its_own_date(
        "Sun, 22 Nov 2026 10:00:30 GMT",
        Some("Sun, 22 Nov 2026 10:00:00 GMT"),
        Some(30)
    )]
    #[case::with_an_unreadable_date("Sun, 22 Nov 2026 09:30:30 GMT", Some("yesterday"), Some(30))]
    #[case::no_such_day("Sun, 31 Nov 2026 09:30:30 GMT", None, None)]
    #[case::another_zone("Sun, 22 Nov 2026 09:30:30 CET", None, None)]
    #[case::negative("-5", None, None)]
    #[case::words("soon", None, None)]
    #[case::nothing("", None, None)]
    fn wait_is_read_in_every_form(
        #[case] value: &str,
        #[case] date: Option<&str>,
        #[case] wait: Option<u64>,
    ) {
        assert_eq!(retry_after_s(value, date, NOW), wait);
    }

    proptest! {
        #[test]
        fn any_value_is_bounded(value: String, date: Option<String>) {
            let wait = retry_after_s(&value, date.as_deref(), NOW);
            prop_assert!(wait.is_none_or(|wait| wait <= MAX_RETRY_AFTER_S));
        }
    }
}
