//! Answers and errors; requests and properties are in their own files.

mod properties;
mod requests;

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::provider::{FinishReason, ModelEvent, ProviderFailure, RefusalReason, StreamEnd, Usage};

const IDENTITY: Identity<'_> = Identity { model_version: "gemini-3.6-flash", response_id: "r-1" };

type Outcome = (Vec<ModelEvent>, Result<StreamEnd, ProviderFailure>);

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max: usize) -> Outcome {
    let mut decoder = StreamDecoder::new(max);
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(failure) = decoder.push(piece, &mut events) {
            assert_eq!(decoder.push(b"data: {}\n\n", &mut events), Err(failure), "a failure is final");
            assert_eq!(decoder.finish(&mut events), Err(failure), "a failure is final");
            return (events, Err(failure));
        }
    }
    let end = decoder.finish(&mut events);
    (events, end)
}

/// Decodes the stream whole, checks that every cut decodes the same, and returns the outcome.
fn decode_everyhow(stream: &[u8]) -> Outcome {
    let expected = decode([stream], MAX_EVENT_BYTES);
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(decode([head, tail], MAX_EVENT_BYTES), expected, "split at {at}");
    }
    assert_eq!(decode(stream.chunks(1), MAX_EVENT_BYTES), expected, "byte by byte");
    expected
}

fn text(text: &str) -> ModelEvent {
    ModelEvent::TextDelta(text.to_owned())
}

/// An answer as Google sends it: CRLF, thoughts, counts that grow, a signature in the last chunk.
const ANSWER: &str = concat!(
    r#"data: {"candidates": [{"content": {"parts": [{"text": "Let me think", "thought": true}],"role": "model"},"index": 0}],"#,
    r#""usageMetadata": {"promptTokenCount": 8,"totalTokenCount": 8,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 8}]},"#,
    r#""modelVersion": "gemini-3.6-flash","responseId": "abc"}"#,
    "\r\n\r\n",
    r#"data: {"candidates": [{"content": {"parts": [{"text": "Grüße, "}, {"text": "\u4e16\u754c 🦀"}],"role": "model"},"index": 0}]}"#,
    "\r\n\r\n",
    r#"data: {"candidates": [{"content": {"parts": [{"text": "","thoughtSignature": "EjQK"}],"role": "model"},"finishReason": "STOP","index": 0}],"#,
    r#""usageMetadata": {"promptTokenCount": 8,"candidatesTokenCount": 5,"totalTokenCount": 33,"cachedContentTokenCount": 2,"thoughtsTokenCount": 20}}"#,
    "\r\n\r\n",
);

#[test]
fn answer_in_any_pieces_is_read() {
    let usage = |output_tokens, cached_tokens, reasoning_tokens, total_tokens| {
        ModelEvent::Usage(Usage {
            input_tokens: 8,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            total_tokens,
            estimated: false,
        })
    };
    let (events, end) = decode_everyhow(ANSWER.as_bytes());
    assert_eq!(
        events,
        [
            usage(0, 0, 0, 8),
            text("Grüße, 世界 🦀"),
            usage(5, 2, 20, 33),
            ModelEvent::Finish(FinishReason::Stop)
        ]
    );
    assert_eq!(end, Ok(StreamEnd::Completed(FinishReason::Stop)));
}

#[test]
fn truncated_answer_is_never_complete() {
    let last = ANSWER.rfind("\n\r\n").unwrap();
    for length in 0..=last {
        let (events, end) = decode([&ANSWER.as_bytes()[..length]], MAX_EVENT_BYTES);
        assert_eq!(end, Ok(StreamEnd::Incomplete), "{length}");
        assert!(!events.contains(&ModelEvent::Finish(FinishReason::Stop)), "{length}");
    }
}

#[rstest]
#[case("STOP", FinishReason::Stop)]
#[case("MAX_TOKENS", FinishReason::Length)]
#[case("SAFETY", FinishReason::ContentFilter)]
#[case("RECITATION", FinishReason::Recitation)]
#[case("BLOCKLIST", FinishReason::ContentFilter)]
#[case("PROHIBITED_CONTENT", FinishReason::ContentFilter)]
#[case("SPII", FinishReason::ContentFilter)]
#[case("IMAGE_SAFETY", FinishReason::ContentFilter)]
#[case("IMAGE_PROHIBITED_CONTENT", FinishReason::ContentFilter)]
#[case("IMAGE_RECITATION", FinishReason::Recitation)]
#[case("LANGUAGE", FinishReason::Language)]
#[case("MALFORMED_RESPONSE", FinishReason::InvalidOutput)]
#[case("MALFORMED_FUNCTION_CALL", FinishReason::InvalidToolCall)]
#[case("UNEXPECTED_TOOL_CALL", FinishReason::InvalidToolCall)]
#[case("TOO_MANY_TOOL_CALLS", FinishReason::InvalidToolCall)]
#[case("MISSING_THOUGHT_SIGNATURE", FinishReason::InvalidToolCall)]
#[case("NO_IMAGE", FinishReason::Other)]
#[case("IMAGE_OTHER", FinishReason::Other)]
#[case("OTHER", FinishReason::Other)]
#[case("A_REASON_OF_TOMORROW", FinishReason::Other)]
fn finish_reason_is_mapped(#[case] word: &str, #[case] reason: FinishReason) {
    let chunk = format!("data: {{\"candidates\":[{{\"finishReason\":\"{word}\"}}]}}\n\n");
    let (events, end) = decode_everyhow(chunk.as_bytes());
    assert_eq!(events, [ModelEvent::Finish(reason)]);
    assert_eq!(end, Ok(StreamEnd::Completed(reason)));
}

#[rstest]
#[case("SAFETY", RefusalReason::Safety)]
#[case("BLOCKLIST", RefusalReason::Blocklist)]
#[case("PROHIBITED_CONTENT", RefusalReason::ProhibitedContent)]
#[case("NEW", RefusalReason::Other)]
fn blocked_prompt_is_refused(#[case] word: &str, #[case] reason: RefusalReason) {
    let body = format!(
        "{{\"promptFeedback\":{{\"blockReason\":\"{word}\"}},\"usageMetadata\":{{\"promptTokenCount\":3,\"totalTokenCount\":3}}}}"
    );
    let usage = Usage { input_tokens: 3, total_tokens: 3, ..Usage::default() };
    let expected = [ModelEvent::Refused(reason), ModelEvent::Usage(usage)];
    let (events, end) = decode_everyhow(format!("data: {body}\n\n").as_bytes());
    assert_eq!((events.as_slice(), end), (expected.as_slice(), Ok(StreamEnd::Refused)));
    let (events, end) = decode_response(body.as_bytes(), MAX_EVENT_BYTES).unwrap();
    assert_eq!((events.as_slice(), end), (expected.as_slice(), StreamEnd::Refused));
}

#[test]
fn tool_calls_are_events_and_finish_reason() {
    let body = json!({"candidates": [{"content": {"parts": [
        {"functionCall": {"name": "weather", "args": {"city": "Köln"}, "id": "c1"}, "thoughtSignature": "x"},
        {"functionCall": {"name": "now"}}
    ]}, "finishReason": "STOP"}, {"index": 1, "content": {"parts": [{"text": "another candidate"}]}}]});
    let (events, end) = decode_everyhow(format!("data: {body}\n\n").as_bytes());
    let call = |id: Option<&str>, name: &str, arguments| ModelEvent::ToolCall {
        id: id.map(str::to_owned),
        name: name.to_owned(),
        arguments,
    };
    assert_eq!(
        events,
        [
            call(Some("c1"), "weather", json!({"city": "Köln"})),
            call(None, "now", json!({})),
            ModelEvent::Finish(FinishReason::ToolCalls)
        ]
    );
    assert_eq!(end, Ok(StreamEnd::Completed(FinishReason::ToolCalls)));
}

#[rstest]
#[case::error_in_an_event(
    "data: {\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}\n\n",
    ProviderFailure::Unavailable { retry_after_s: None })]
#[case::error_by_name(
    "data: {\"error\":{\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n",
    ProviderFailure::RateLimited { retry_after_s: None })]
#[case::error_as_json("{\"error\":{\"code\":500,\"status\":\"INTERNAL\"}}", ProviderFailure::Internal)]
#[case::error_in_an_array("[{\n \"error\": {\"code\": 400}\n}\n]", ProviderFailure::Refused)]
#[case::error_without_more("data: {\"error\":{}}\n\n", ProviderFailure::Internal)]
#[case::html("\r\n<!DOCTYPE html><html></html>", ProviderFailure::Malformed)]
#[case::broken_json("data: {\"candidates\":[}\n\n", ProviderFailure::Malformed)]
#[case::not_an_object("data: 7\n\n", ProviderFailure::Malformed)]
#[case::json_cut_off("{\"candidates\":[{\"content\":", ProviderFailure::Malformed)]
fn invalid_stream_is_a_failure(#[case] stream: &str, #[case] failure: ProviderFailure) {
    assert_eq!(decode_everyhow(stream.as_bytes()), (vec![], Err(failure)));
}

#[test]
fn text_before_failure_is_kept() {
    let stream = concat!(
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Once\"}]}}]}\n\n",
        "data: {\"error\":{\"code\":504}}\n\n",
        "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n",
    );
    assert_eq!(decode_everyhow(stream.as_bytes()), (vec![text("Once")], Err(ProviderFailure::Timeout)));
}

const WORDS: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Once\"}]}}]}\n\n";
const FINISH: &str = "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n";
const BARE: &str = "{\n  \"error\": {\n    \"code\": 503,\n    \"status\": \"UNAVAILABLE\"\n  }\n}";

#[rstest]
#[case::after_words([WORDS, "", BARE])]
#[case::after_the_finish([WORDS, FINISH, BARE])]
#[case::without_a_word([": hello\n\n", "", BARE])]
#[case::after_a_finish_without_a_word([FINISH, "", BARE])]
#[case::with_a_line_end([WORDS, BARE, "\n"])]
#[case::before_a_heartbeat([WORDS, BARE, "\n\n: ping\n\n"])]
#[case::in_a_list([WORDS, FINISH, "[{\"error\":{\"code\":503}}]"])]
#[case::in_an_event_that_is_cut_off([WORDS, FINISH, "data: {\"error\":{\"code\":503}}"])]
#[case::with_a_name_only([WORDS, FINISH, "{\"error\":{\"status\":\"UNAVAILABLE\"}}"])]
fn error_beside_the_events_is_the_error_within_one(#[case] stream: [&str; 3]) {
    let (events, end) = decode_everyhow(stream.concat().as_bytes());
    assert_eq!(end, Err(ProviderFailure::Unavailable { retry_after_s: None }));
    assert_eq!(events.contains(&text("Once")), stream.contains(&WORDS));
}

#[rstest]
#[case::words("Good bye")]
#[case::page("<html>bye</html>")]
#[case::done("data: [DONE]\n\n")]
#[case::empty_event("data:\n\n")]
#[case::cut_off("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\" upon\"")]
fn text_beside_a_finished_answer_costs_only_itself(#[case] rest: &str) {
    let (events, end) = decode_everyhow([WORDS, FINISH, rest].concat().as_bytes());
    assert_eq!(events, [text("Once"), ModelEvent::Finish(FinishReason::Stop)]);
    assert_eq!(end, Ok(StreamEnd::Completed(FinishReason::Stop)));
}

#[test]
fn halves_of_a_pair_in_two_chunks_are_joined() {
    let said = |json: &str| {
        format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{json}\"}}]}}}}]}}\n\n")
    };
    let stream =
        [&said("a\\ud83d"), ": ping\n\n", &said("\\ude00b\\ud83d"), FINISH, &said("c\\ud83d")].concat();
    let (events, _) = decode_everyhow(stream.as_bytes());
    assert_eq!(
        events,
        [
            text("a"),
            text("😀b"),
            text("\u{FFFD}"),
            ModelEvent::Finish(FinishReason::Stop),
            text("c"),
            text("\u{FFFD}")
        ]
    );
}

#[rstest]
#[case(r#"{"candidates":[null,7,{"index":null,"content":{"parts":[null,{"text":7},{"text":"ok","thought":null}]}}]}"#)]
#[case(r#"{"candidates":[{"index":"0","content":{"parts":[{"text":"ok","functionCall":{"name":null}}]},"finishReason":null}]}"#)]
#[case(r#"{"candidates":[{"content":{"parts":[{"text":"ok"}]},"finishReason":7}],"usageMetadata":"none","error":null}"#)]
#[case(r#"{"candidates":[{"content":{"parts":[{"text":"ok"}]},"finishReason":"FINISH_REASON_UNSPECIFIED"}],"promptFeedback":7}"#)]
#[case(r#"{"usageMetadata":null,"promptFeedback":{"blockReason":"BLOCK_REASON_UNSPECIFIED"},"candidates":[{"content":{"parts":[{"text":"ok"}]}}]}"#)]
#[case(r#"[{"candidates":[{"content":{"parts":[{"text":"ok"}]}}]},null]"#)]
#[case(r#"{"candidates":[{"content":{"parts":[{"text":"ok"}]}}]} {"candidates":"none"} and so on"#)]
fn field_of_another_kind_costs_only_itself(#[case] json: &str) {
    let (events, end) = decode_everyhow([&format!("data: {json}\n\n"), FINISH].concat().as_bytes());
    assert_eq!(events, [text("ok"), ModelEvent::Finish(FinishReason::Stop)]);
    assert_eq!(end, Ok(StreamEnd::Completed(FinishReason::Stop)));
}

#[test]
fn counts_may_be_null_or_strings() {
    let json =
        r#"{"usageMetadata":{"promptTokenCount":"8","candidatesTokenCount":null,"totalTokenCount":9}}"#;
    let (events, _) = decode_everyhow(format!("data: {json}\n\n").as_bytes());
    let usage = Usage { input_tokens: 8, total_tokens: 9, ..Usage::default() };
    assert_eq!(events, [ModelEvent::Usage(usage)]);
}

#[test]
fn finish_is_known_before_the_end() {
    let mut decoder = StreamDecoder::default();
    let mut events = Vec::new();
    decoder.push(WORDS.as_bytes(), &mut events).unwrap();
    assert_eq!(decoder.finished(), None);
    decoder.push(FINISH.as_bytes(), &mut events).unwrap();
    assert_eq!(decoder.finished(), Some(Finished { counted: false }));
    decoder.push(b"data: {\"usageMetadata\":{\"totalTokenCount\":3}}\n\n", &mut events).unwrap();
    assert_eq!(decoder.finished(), Some(Finished { counted: true }));
}

#[rstest]
#[case::event(format!("data: {{\"x\":\"{}\"}}\n\n", "a".repeat(100)))]
#[case::json(format!("{{\"x\":\"{}\"}}", "a".repeat(100)))]
fn oversized_event_is_a_failure(#[case] stream: String) {
    let stream = stream.as_bytes();
    assert_eq!(decode([stream], 100), (vec![], Err(ProviderFailure::TooLarge)));
    assert_eq!(decode(stream.chunks(7), 100), (vec![], Err(ProviderFailure::TooLarge)));
    assert_eq!(decode_response(stream, 100), Err(ProviderFailure::TooLarge));
}

#[test]
fn unknown_and_absent_fields_are_no_matter() {
    let stream = concat!(
        "\u{FEFF}: hello\n\n",
        "data: {}\n\n",
        "data: {\"candidates\":null}\n\n",
        "data: {\"candidates\":[]}\n\n",
        "data: {\"candidates\":[{\"content\":{\"role\":\"model\"}}]}\n\n",
        "data: {\"new\":[1],\"candidates\":[{\"content\":{\"parts\":[{\"inlineData\":{}},{\"text\":\"ok\",\"new\":{}}]}}]}\n\n",
    );
    assert_eq!(decode_everyhow(stream.as_bytes()), (vec![text("ok")], Ok(StreamEnd::Incomplete)));
    assert_eq!(decode_everyhow(b""), (vec![], Ok(StreamEnd::Incomplete)));
}

#[test]
fn chunks_are_written_in_geminis_shape() {
    let usage = Usage { input_tokens: 4, output_tokens: 2, total_tokens: 6, ..Usage::default() };
    let events = [text("Hi"), ModelEvent::Usage(usage), ModelEvent::Finish(FinishReason::Stop)];
    let body = encode_response(IDENTITY, &events);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
        json!({
            "candidates": [{
                "content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP", "index": 0
            }],
            "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
            "modelVersion": "gemini-3.6-flash", "responseId": "r-1",
        })
    );
    let (read, end) = decode_response(&body, MAX_EVENT_BYTES).unwrap();
    assert_eq!((read.as_slice(), end), (events.as_slice(), StreamEnd::Completed(FinishReason::Stop)));
    let mut chunk = Vec::new();
    encode_chunk(&mut chunk, IDENTITY, &events);
    assert_eq!(chunk, [b"data: ", body.as_slice(), b"\r\n\r\n"].concat());
}

#[rstest]
#[case(429, "RESOURCE_EXHAUSTED", ProviderFailure::RateLimited { retry_after_s: None })]
#[case(400, "INVALID_ARGUMENT", ProviderFailure::Refused)]
#[case(504, "DEADLINE_EXCEEDED", ProviderFailure::Timeout)]
#[case(418, "UNKNOWN", ProviderFailure::Refused)]
fn errors_are_written_in_geminis_shape(
    #[case] code: u16,
    #[case] status: &str,
    #[case] failure: ProviderFailure,
) {
    let body = encode_error(code, "no");
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
        json!({"error": {"code": code, "message": "no", "status": status}})
    );
    assert_eq!(classify(code, None, &body), failure);
}

const WRONG_KEY: &str = r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[
    {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#;
const NOT_HERE: &str =
    r#"{"error":{"code":400,"message":"User location is not supported.","status":"FAILED_PRECONDITION"}}"#;
const QUOTA: &str = r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"x","links":[]},
    {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"37.8s"}]}}]"#;
const HTML: &str = "<html><title>502 secret-host</title></html>";

#[rstest]
#[case(400, None, "", ProviderFailure::Refused)]
#[case(400, None, WRONG_KEY, ProviderFailure::Unauthorized)]
#[case(400, None, NOT_HERE, ProviderFailure::Unauthorized)]
#[case(401, None, "", ProviderFailure::Unauthorized)]
#[case(403, None, HTML, ProviderFailure::Unauthorized)]
#[case(404, None, "", ProviderFailure::Refused)]
#[case(408, None, "", ProviderFailure::Timeout)]
#[case(413, None, HTML, ProviderFailure::Refused)]
#[case(429, None, HTML, ProviderFailure::RateLimited { retry_after_s: None })]
#[case(429, None, QUOTA, ProviderFailure::RateLimited { retry_after_s: Some(38) })]
#[case(429, Some(5), QUOTA, ProviderFailure::RateLimited { retry_after_s: Some(5) })]
#[case(500, None, HTML, ProviderFailure::Internal)]
#[case(500, None, r#"{"error":{"status":"UNAVAILABLE"}}"#, ProviderFailure::Unavailable { retry_after_s: None })]
#[case(502, None, HTML, ProviderFailure::Unavailable { retry_after_s: None })]
#[case(503, Some(9), "", ProviderFailure::Unavailable { retry_after_s: Some(9) })]
#[case(504, None, HTML, ProviderFailure::Timeout)]
#[case(200, None, HTML, ProviderFailure::Malformed)]
#[case(302, None, "", ProviderFailure::Malformed)]
fn status_is_mapped_to_failure(
    #[case] status: u16,
    #[case] retry_after_s: Option<u64>,
    #[case] body: &str,
    #[case] failure: ProviderFailure,
) {
    assert_eq!(classify(status, retry_after_s, body.as_bytes()), failure);
}
