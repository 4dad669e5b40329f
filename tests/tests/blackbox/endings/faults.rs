//! The table of faults: how a provider's answer can end, and what a client is told of it.

use bytes::Bytes;
use edgechat_tests::provider::{Script, Step, call::USAGE};
use hyper::StatusCode;
use serde_json::json;
use shared::{
    api::chat::{FinishReason, TurnStatus},
    provider::RefusalReason,
};

/// The text of an answer before its fault.
pub(super) const TEXT: &str = "Half of it";
/// More bytes than one event or a whole answer may have.
const HUGE_BYTES: usize = 1_100_000;

/// The source of a turn's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    /// The provider counted them: [`USAGE`].
    Said,
    /// They are estimated.
    Estimated,
    /// None were used.
    None,
}

/// What a client is told of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) status: TurnStatus,
    /// Empty for an answer that completed.
    pub(super) code: &'static str,
    pub(super) text: &'static str,
    pub(super) finish_reason: Option<FinishReason>,
    pub(super) tokens: Tokens,
}

/// A fault of the provider, in a stream and in a whole answer.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) streamed: (Script, Ending),
    /// `None` where a whole answer has no such fault.
    pub(super) whole: Option<(Script, Ending)>,
}

/// The faults that end at once.
pub(super) fn quick() -> Vec<Fault> {
    [finish_reasons(), blocks(), connections(), malformed(), errors()].concat()
}

/// The faults that end by a timeout.
pub(super) fn slow() -> Vec<Fault> {
    let stalled = vec![bytes(half_chunk()), Step::Hang];
    vec![
        differing(
            "stall",
            steps([text(), Step::Hang]),
            incomplete("provider_timeout"),
            Script::Steps(stalled),
            failed("provider_timeout", Tokens::None),
        ),
        Fault {
            name: "no first byte",
            streamed: (steps([Step::Hang]), failed("provider_timeout", Tokens::None)),
            whole: None,
        },
    ]
}

fn finish_reasons() -> Vec<Fault> {
    use FinishReason::{
        ContentFilter, InvalidOutput, InvalidToolCall, Language, Length, Other, Recitation, Stop,
    };
    let with_text = |name, word, reason, code| {
        same(name, Script::Steps(vec![finish(word)]), finished(TurnStatus::Incomplete, code, TEXT, reason))
    };
    let without =
        |name, reason, code| same(name, steps([Step::Finish(reason, USAGE)]), failed(code, Tokens::Said));
    let complete =
        Ending { code: "", finish_reason: Some(Stop), ..finished(TurnStatus::Completed, "", TEXT, Stop) };
    vec![
        same("stop", Script::Steps(vec![finish("STOP")]), complete),
        with_text("length", "MAX_TOKENS", Length, "length"),
        with_text("safety", "SAFETY", ContentFilter, "safety"),
        with_text("blocklist", "BLOCKLIST", ContentFilter, "safety"),
        with_text("prohibited content", "PROHIBITED_CONTENT", ContentFilter, "safety"),
        with_text("personal data", "SPII", ContentFilter, "safety"),
        with_text("unsafe image", "IMAGE_SAFETY", ContentFilter, "safety"),
        with_text("recitation", "RECITATION", Recitation, "recitation"),
        with_text("language", "LANGUAGE", Language, "language"),
        with_text("malformed call", "MALFORMED_FUNCTION_CALL", InvalidToolCall, "invalid_tool_call"),
        with_text("unexpected call", "UNEXPECTED_TOOL_CALL", InvalidToolCall, "invalid_tool_call"),
        with_text("too many calls", "TOO_MANY_TOOL_CALLS", InvalidToolCall, "invalid_tool_call"),
        with_text("malformed response", "MALFORMED_RESPONSE", InvalidOutput, "invalid_output"),
        with_text("other", "OTHER", Other, "provider_error"),
        with_text("unknown reason", "A_REASON_OF_TOMORROW", Other, "provider_error"),
        without("stop without a word", Stop, "empty_answer"),
        without("safety without a word", ContentFilter, "safety"),
        without("recitation without a word", Recitation, "recitation"),
        without("malformed call without a word", InvalidToolCall, "invalid_tool_call"),
        same(
            "length without a word",
            steps([Step::Finish(Length, USAGE)]),
            finished(TurnStatus::Incomplete, "length", "", Length),
        ),
        differing(
            "stop without a count",
            Script::Steps(vec![bytes(event(&chunk(Some("STOP"), false)))]),
            Ending { tokens: Tokens::Estimated, ..complete },
            Script::Steps(vec![bytes(chunk(Some("STOP"), false))]),
            Ending { tokens: Tokens::Estimated, ..complete },
        ),
    ]
}

fn blocks() -> Vec<Fault> {
    let stopped = Ending { finish_reason: Some(FinishReason::ContentFilter), ..incomplete("safety") };
    let blocked = |reason| steps([Step::Refuse(reason)]);
    vec![
        same("blocked prompt", blocked(RefusalReason::Safety), failed("safety", Tokens::None)),
        same(
            "prompt blocked for another reason",
            blocked(RefusalReason::Other),
            failed("safety", Tokens::None),
        ),
        same(
            "blocked in the middle",
            steps([text(), Step::Refuse(RefusalReason::ProhibitedContent)]),
            stopped,
        ),
    ]
}

fn connections() -> Vec<Fault> {
    let lost = || failed("provider_unavailable", Tokens::None);
    let cut_character =
        vec![text(), bytes(b"data: {\"candidates\":[{\"content\":\"Gr\xC3".to_vec()), Step::Cut];
    vec![
        same("no finish reason", steps([text()]), incomplete("no_finish_reason")),
        differing(
            "cut",
            steps([text(), Step::Cut]),
            incomplete("provider_disconnected"),
            steps([text(), Step::Cut]),
            lost(),
        ),
        differing(
            "cut within a character",
            Script::Steps(cut_character),
            incomplete("provider_disconnected"),
            Script::Steps(vec![bytes(b"{\"candidates\":[{\"content\":\"Gr\xC3".to_vec()), Step::Cut]),
            lost(),
        ),
        differing(
            "closed within a chunk",
            Script::Steps(vec![text(), bytes([b"data: ", &half_chunk()[..]].concat())]),
            incomplete("no_finish_reason"),
            Script::Steps(vec![bytes(half_chunk())]),
            failed("provider_malformed", Tokens::None),
        ),
        same("cut at once", steps([Step::Cut]), lost()),
        same("no reply", Script::NoReply, lost()),
        differing(
            "empty body",
            Script::empty(),
            failed("no_finish_reason", Tokens::None),
            Script::empty(),
            failed("provider_malformed", Tokens::None),
        ),
    ]
}

fn malformed() -> Vec<Fault> {
    let unreadable = || failed("provider_malformed", Tokens::None);
    let raw =
        |name, body: &[u8], ending: Ending| same(name, Script::Steps(vec![bytes(body.to_vec())]), ending);
    let huge = [&b"{\"x\":\""[..], &vec![b'x'; HUGE_BYTES], b"\"}"].concat();
    vec![
        differing(
            "broken JSON after words",
            Script::Steps(vec![text(), bytes(event(b"{\"candidates\":[}"))]),
            incomplete("provider_malformed"),
            Script::Steps(vec![bytes(b"{\"candidates\":[}".to_vec())]),
            unreadable(),
        ),
        same("page with status 200", Script::html(StatusCode::OK), unreadable()),
        raw("noise", b"\x1F\x8B\x08\x00\x00\x00\x00\x00\x02\xFF\xCB\x48", unreadable()),
        raw("end of another protocol", b"[DONE]", failed("no_finish_reason", Tokens::None)),
        raw(
            "fields of other kinds",
            b"{\"candidates\":\"none\",\"usageMetadata\":7}",
            failed("no_finish_reason", Tokens::None),
        ),
        differing(
            "huge event",
            Script::Steps(vec![text(), bytes(event(&huge))]),
            incomplete("provider_error"),
            Script::Steps(vec![bytes(huge.clone())]),
            failed("provider_error", Tokens::None),
        ),
    ]
}

fn errors() -> Vec<Fault> {
    let error = |name, status, code| same(name, Script::error(status), failed(code, Tokens::None));
    let within = || steps([text(), Step::Error(StatusCode::SERVICE_UNAVAILABLE)]);
    let unavailable = "provider_unavailable";
    vec![
        error("refused request", StatusCode::BAD_REQUEST, "provider_refused"),
        error("refused key", StatusCode::UNAUTHORIZED, "provider_error"),
        error("used quota", StatusCode::TOO_MANY_REQUESTS, unavailable),
        error("internal error", StatusCode::INTERNAL_SERVER_ERROR, "provider_error"),
        error("overload", StatusCode::SERVICE_UNAVAILABLE, unavailable),
        error("provider's own timeout", StatusCode::GATEWAY_TIMEOUT, "provider_timeout"),
        same("page of a proxy", Script::html(StatusCode::BAD_GATEWAY), failed(unavailable, Tokens::None)),
        differing(
            "error after words",
            within(),
            incomplete(unavailable),
            within(),
            failed(unavailable, Tokens::None),
        ),
    ]
}

fn same(name: &'static str, script: Script, ending: Ending) -> Fault {
    Fault { name, streamed: (script.clone(), ending), whole: Some((whole(script), ending)) }
}

fn differing(
    name: &'static str,
    script: Script,
    ending: Ending,
    whole: Script,
    whole_ending: Ending,
) -> Fault {
    Fault { name, streamed: (script, ending), whole: Some((whole, whole_ending)) }
}

/// Returns the script of a whole answer: its one chunk is no event.
fn whole(script: Script) -> Script {
    let Script::Steps(steps) = script else { return script };
    let unframed = |step| match step {
        Step::Raw(bytes) => {
            let body = bytes.strip_prefix(b"data: ").map_or(bytes.clone(), |body| bytes.slice_ref(body));
            Step::Raw(body)
        }
        step => step,
    };
    Script::Steps(steps.into_iter().map(unframed).collect())
}

const fn finished(
    status: TurnStatus,
    code: &'static str,
    text: &'static str,
    reason: FinishReason,
) -> Ending {
    Ending { status, code, text, finish_reason: Some(reason), tokens: Tokens::Said }
}

/// An answer that broke off after [`TEXT`], whose tokens nobody counted.
const fn incomplete(code: &'static str) -> Ending {
    let (status, tokens) = (TurnStatus::Incomplete, Tokens::Estimated);
    Ending { status, code, text: TEXT, finish_reason: None, tokens }
}

const fn failed(code: &'static str, tokens: Tokens) -> Ending {
    Ending { status: TurnStatus::Failed, code, text: "", finish_reason: None, tokens }
}

fn text() -> Step {
    Step::Text(TEXT.to_owned())
}

fn steps<const N: usize>(steps: [Step; N]) -> Script {
    Script::Steps(steps.into())
}

fn bytes(bytes: Vec<u8>) -> Step {
    Step::Raw(Bytes::from(bytes))
}

/// [`TEXT`] with this word as its finish reason and [`USAGE`], as one event.
fn finish(word: &str) -> Step {
    bytes(event(&chunk(Some(word), true)))
}

fn event(chunk: &[u8]) -> Vec<u8> {
    [b"data: ", chunk, b"\n\n"].concat()
}

fn half_chunk() -> Vec<u8> {
    let mut chunk = chunk(None, false);
    chunk.truncate(chunk.len() / 2);
    chunk
}

fn chunk(finish_reason: Option<&str>, counted: bool) -> Vec<u8> {
    let mut chunk = json!({
        "candidates": [{
            "content": {"parts": [{"text": TEXT}], "role": "model"}, "finishReason": finish_reason, "index": 0,
        }],
    });
    if counted {
        chunk["usageMetadata"] = json!({
            "promptTokenCount": USAGE.input_tokens, "candidatesTokenCount": USAGE.output_tokens,
            "cachedContentTokenCount": USAGE.cached_tokens, "thoughtsTokenCount": USAGE.reasoning_tokens,
            "totalTokenCount": USAGE.total_tokens,
        });
    }
    chunk.to_string().into_bytes()
}
