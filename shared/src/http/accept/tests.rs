use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// `accept`, then the answer for `stream` absent, false and true: `s`tream, `j`son or not acceptable (`-`).
#[rstest]
#[case(None, "jjs")]
#[case(Some(""), "jjs")]
#[case(Some("*/*"), "jjs")]
#[case(Some("application/json"), "jjs")]
#[case(Some("application/json; charset=utf-8"), "jjs")]
#[case(Some("application/*"), "jjs")]
#[case(Some("application/json, text/plain, */*"), "jjs")]
#[case(Some("text/event-stream"), "sss")]
#[case(Some("TEXT/Event-Stream"), "sss")]
#[case(Some("text/*"), "sss")]
#[case(Some("text/event-stream, application/json"), "sjs")]
#[case(Some("application/json, text/event-stream"), "sjs")]
#[case(Some("application/json, text/event-stream;q=0.9"), "jjs")]
#[case(Some("application/json;q=0.5, text/event-stream;q=0.8"), "sjs")]
#[case(Some("text/event-stream, */*;q=0.1"), "sjs")]
#[case(Some("text/*, application/json"), "jjs")]
#[case(Some("application/json;q=0, */*"), "sss")]
#[case(Some("text/event-stream;q=0, */*"), "jjs")]
#[case(Some("text/event-stream;q=0"), "---")]
#[case(Some("text/html"), "---")]
#[case(Some("*/*;q=0"), "---")]
#[case(Some("*/*;q=0.000"), "---")]
#[case(Some("*/*;Q=0.001"), "jjs")]
#[case(Some("*/*;q=many"), "jjs")]
#[case(Some("*/json"), "---")]
#[case(Some("nonsense"), "---")]
#[case(Some("text/html;a=\"b, application/json\""), "---")]
#[case(Some("application/json;v=\"1;q=0\""), "jjs")]
fn response_has_accepted_media_type(#[case] accept: Option<&str>, #[case] expected: &str) {
    let answers: String = [None, Some(false), Some(true)]
        .into_iter()
        .map(|stream| match wants_event_stream(accept, stream) {
            Ok(true) => 's',
            Ok(false) => 'j',
            Err(error) => {
                assert_eq!(error.code, ErrorCode::NotAcceptable);
                '-'
            }
        })
        .collect();
    assert_eq!(answers, expected);
}

#[rstest]
#[case("1", 1000)]
#[case("1.000", 1000)]
#[case("0", 0)]
#[case("0.", 0)]
#[case("0.5", 500)]
#[case("0.05", 50)]
#[case("0.005", 5)]
#[case("0.0005", 1000)]
#[case("-1", 1000)]
#[case("0.+1", 1000)]
#[case("0.é", 1000)]
fn weight_is_in_thousandths(#[case] value: &str, #[case] thousandths: u16) {
    assert_eq!(weight(&format!("q={value}")), Some(thousandths));
    assert_eq!(weight(&format!("v={value}")), None);
}

#[rstest]
#[case(None, false)]
#[case(Some("respond-async"), true)]
#[case(Some("Respond-Async"), true)]
#[case(Some("wait=10, respond-async"), true)]
#[case(Some("respond-async; x=1, wait=10"), true)]
#[case(Some("respond-asynchronously"), false)]
#[case(Some("return=minimal"), false)]
#[case(Some("note=\"a, respond-async\""), false)]
#[case(Some("note=\"a\\\", respond-async\""), false)]
fn client_may_prefer_not_to_wait(#[case] prefer: Option<&str>, #[case] expected: bool) {
    assert_eq!(prefer_respond_async(prefer), expected);
}

#[rstest]
#[case(None, None, None)]
#[case(Some("a"), None, Some("a"))]
#[case(None, Some("b"), Some("b"))]
#[case(Some("a"), Some("a"), Some("a"))]
fn key_is_read_from_header_or_body(
    #[case] header: Option<&str>,
    #[case] field: Option<&str>,
    #[case] expected: Option<&str>,
) {
    assert_eq!(idempotency_key(header, field), Ok(expected.map(str::to_owned)));
}

#[rstest]
#[case(Some("a"), Some("b"), ErrorCode::ValidationFailed)]
#[case(Some(""), None, ErrorCode::InvalidRequest)]
#[case(Some("a b"), None, ErrorCode::InvalidRequest)]
#[case(Some("é"), Some("é"), ErrorCode::InvalidRequest)]
#[case(None, Some(""), ErrorCode::ValidationFailed)]
#[case(None, Some("a\n"), ErrorCode::ValidationFailed)]
fn keys_that_contradict_or_are_none_are_refused(
    #[case] header: Option<&str>,
    #[case] field: Option<&str>,
    #[case] code: ErrorCode,
) {
    let error = idempotency_key(header, field).unwrap_err();
    assert_eq!(error.code, code);
    if code == ErrorCode::ValidationFailed {
        assert_eq!(error.errors[0].field, "client_message_id");
    }
}

#[test]
fn key_has_at_most_255_characters() {
    assert!(idempotency_key(Some(&"a".repeat(255)), None).is_ok());
    assert!(idempotency_key(Some(&"a".repeat(256)), None).is_err());
}

#[rstest]
#[case(None, None, Some(0))]
#[case(Some("7"), None, Some(7))]
#[case(None, Some("7"), Some(7))]
#[case(Some("9"), Some("7"), Some(9))]
#[case(Some(""), Some("7"), Some(7))]
#[case(Some("18446744073709551615"), None, Some(u64::MAX))]
#[case(Some("18446744073709551616"), None, None)]
#[case(Some("-1"), None, None)]
#[case(Some("+1"), None, None)]
#[case(Some("x"), Some("7"), None)]
#[case(Some("7"), Some("x"), None)]
#[case(None, Some(""), None)]
#[case(None, Some("1.5"), None)]
fn last_event_id_is_read_from_header_or_query(
    #[case] header: Option<&str>,
    #[case] after: Option<&str>,
    #[case] expected: Option<u64>,
) {
    let cursor = event_cursor(header, after);
    assert_eq!(cursor.as_ref().ok().copied(), expected);
    assert!(cursor.is_ok() || cursor.is_err_and(|error| error.code == ErrorCode::InvalidRequest));
}

proptest! {
    #[test]
    fn arbitrary_header_does_not_panic(text in "[ -~é]{0,80}", stream: Option<bool>) {
        if let Ok(streams) = wants_event_stream(Some(&text), stream) {
            prop_assert!(!streams || stream == Some(true) || text.to_ascii_lowercase().contains("text/")
                || text.contains("*/*"));
        }
        prop_assert!(!prefer_respond_async(Some(&text)) || text.to_ascii_lowercase().contains("respond-async"));
        if let Ok(Some(key)) = idempotency_key(Some(&text), None) {
            prop_assert_eq!(key, text);
        }
    }
}
