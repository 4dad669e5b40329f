//! Answers and failures as data, and the named ones that `/script NAME` plays in development.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use shared::{
    api::usage::Usage,
    provider::{FinishReason, ModelEvent, RefusalReason, gemini},
};

use super::call::{Call, Gone, Reply, USAGE};

/// Words of every scripted error that no client of EdgeChat may see.
pub const TELL_TALES: [&str; 3] = ["secret-project-123", "backend-pool-eu", "generativelanguage"];

const ERROR_MESSAGE: &str = "Consumer projects/secret-project-123 was refused by backend-pool-eu of \
                             generativelanguage.googleapis.com.";
const HTML: &str = "<!doctype html><html><head><title>Error 502</title></head><body><p>generativelanguage: \
                    backend-pool-eu is not reachable from secret-project-123.</p></body></html>\n";

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// A piece of text, as one chunk.
    Text(String),
    /// These bytes as they are, as one piece.
    Raw(Bytes),
    /// A pause.
    Wait(Duration),
    /// An error object in the middle of the stream; the whole response to a call that is not streamed.
    Error(StatusCode),
    /// The prompt was blocked.
    Refuse(RefusalReason),
    /// The finish reason and usage, and the end.
    Finish(FinishReason, Usage),
    /// A broken connection.
    Cut,
    /// Silence on a connection that stays open until the caller closes it.
    Hang,
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub enum Script {
    /// The steps of a stream. Without a [`Step::Finish`] it ends without a finish reason.
    Steps(Vec<Step>),
    /// A whole body with its status.
    Reply(Reply),
    /// A connection that is closed without a response.
    NoReply,
}

impl Script {
    /// Sends these pieces one by one and finishes with `STOP`.
    pub fn pieces<T: Into<String>>(pieces: impl IntoIterator<Item = T>) -> Self {
        let said = pieces.into_iter().map(|piece| Step::Text(piece.into()));
        Self::Steps(said.chain([stop()]).collect())
    }

    /// Gemini's error body with this status.
    pub fn error(status: StatusCode) -> Self {
        Self::Reply(Reply::error(status, ERROR_MESSAGE))
    }

    /// [`Self::error`] 429 with a `Retry-After`.
    pub fn busy(retry_after: &str) -> Self {
        let reply = Reply::error(StatusCode::TOO_MANY_REQUESTS, ERROR_MESSAGE);
        Self::Reply(Reply { retry_after: Some(retry_after.to_owned()), ..reply })
    }

    /// An HTML page with this status, as from a proxy in between.
    pub fn html(status: StatusCode) -> Self {
        let (media_type, body) = ("text/html; charset=UTF-8", Bytes::from_static(HTML.as_bytes()));
        Self::Reply(Reply { status, media_type, retry_after: None, body })
    }

    /// Status 200 and no body.
    pub fn empty() -> Self {
        let (status, media_type) = (StatusCode::OK, "text/event-stream");
        Self::Reply(Reply { status, media_type, retry_after: None, body: Bytes::new() })
    }

    /// The script of this name; [`NAMES`] lists them.
    pub fn by_name(name: &str) -> Option<Self> {
        const SLOW: Duration = Duration::from_secs(1);
        let status = |code| StatusCode::from_u16(code).ok().map(Self::error);
        Some(match name {
            "400" | "401" | "403" | "500" | "503" => return status(name.parse().ok()?),
            "429" => Self::busy("30"),
            "html" => Self::html(StatusCode::BAD_GATEWAY),
            "html200" => Self::html(StatusCode::OK),
            "empty" => Self::empty(),
            "nothing" => Self::NoReply,
            "cut" => Self::Steps(vec![text("This answer breaks "), text("in the middle of"), Step::Cut]),
            "incomplete" => Self::Steps(vec![text("This answer ends "), text("without a finish reason")]),
            "refused" => Self::Steps(vec![Step::Refuse(RefusalReason::Safety)]),
            "error" => {
                Self::Steps(vec![text("This answer fails "), Step::Error(StatusCode::SERVICE_UNAVAILABLE)])
            }
            "length" => Self::Steps(vec![
                text("This answer reaches its token limit"),
                Step::Finish(FinishReason::Length, USAGE),
            ]),
            "filter" => Self::Steps(vec![
                text("This answer was filtered"),
                Step::Finish(FinishReason::ContentFilter, USAGE),
            ]),
            "recitation" => {
                Self::Steps(vec![text("This answer recites"), Step::Finish(FinishReason::Recitation, USAGE)])
            }
            "silent" => Self::Steps(vec![stop()]),
            "malformed" => Self::Steps(vec![Step::Finish(FinishReason::InvalidOutput, USAGE)]),
            "trailing" => Self::Steps(vec![
                text("This answer is followed by an error"),
                Step::Raw(bare_error(StatusCode::SERVICE_UNAVAILABLE)),
            ]),
            "open" => {
                Self::Steps(vec![Step::Raw(finished_chunk("This answer keeps its connection")), Step::Hang])
            }
            "slow" => paced((1..=20).map(|second| format!("Second {second} of 20. ")), SLOW),
            "long" => paced((1..=2_000).map(|word| format!("word{word} ")), Duration::from_millis(5)),
            "mute" => Self::Steps(vec![Step::Hang]),
            "hang" => Self::Steps(vec![text("This answer hangs "), Step::Hang]),
            _ => return None,
        })
    }

    /// The script that a message names as `/script NAME`.
    pub fn asked_for(message: &str) -> Option<Self> {
        Self::by_name(message.strip_prefix("/script ")?.trim())
    }

    /// Answers `call` by this script.
    ///
    /// # Errors
    /// Fails with [`Gone`] when the caller closed the connection before the script was complete.
    pub async fn play(self, mut call: Call) -> Result<(), Gone> {
        let steps = match self {
            Self::Reply(reply) => return call.reply(reply),
            Self::NoReply => {
                call.close_without_reply();
                return Ok(());
            }
            Self::Steps(steps) => steps,
        };
        for step in steps {
            match step {
                Step::Text(text) => call.send_text(&text).await?,
                Step::Raw(bytes) => call.raw(bytes).await?,
                Step::Wait(time) => tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    () = call.gone() => return Err(Gone),
                },
                Step::Error(status) if !call.received().stream => {
                    return call.reply(Reply::error(status, ERROR_MESSAGE));
                }
                Step::Error(status) => call.raw(error_event(status)).await?,
                Step::Refuse(reason) => call.events(vec![ModelEvent::Refused(reason)]).await?,
                Step::Finish(reason, usage) => return call.finish(reason, usage).await,
                Step::Cut => return call.cut().await,
                Step::Hang => {
                    call.gone().await;
                    return Err(Gone);
                }
            }
        }
        call.end().await
    }
}

/// The names for `/script NAME`, each with its effect.
pub const NAMES: [(&str, &str); 25] = [
    ("400", "refuses the request"),
    ("401", "refuses the key"),
    ("403", "refuses the account"),
    ("429", "is over its quota, with Retry-After: 30"),
    ("500", "fails internally"),
    ("503", "is overloaded"),
    ("html", "answers 502 with a page"),
    ("html200", "answers 200 with a page"),
    ("empty", "answers 200 with an empty body"),
    ("nothing", "closes the connection without a reply"),
    ("cut", "breaks the connection in the middle of the answer"),
    ("incomplete", "ends the answer without a finish reason"),
    ("error", "sends an error in the middle of the answer"),
    ("refused", "blocks the prompt"),
    ("length", "stops at the token limit"),
    ("filter", "is stopped by the filter"),
    ("recitation", "is stopped because it recites"),
    ("silent", "finishes without a word"),
    ("malformed", "finishes with a malformed tool call and without a word"),
    ("trailing", "sends a bare error after the last chunk"),
    ("open", "finishes, then keeps the connection open"),
    ("slow", "takes 20 seconds"),
    ("long", "says 2000 words"),
    ("hang", "begins, then says no more"),
    ("mute", "never says anything, nor that it is there"),
];

fn text(text: &str) -> Step {
    Step::Text(text.to_owned())
}

fn stop() -> Step {
    Step::Finish(FinishReason::Stop, USAGE)
}

/// A script of these pieces with this pause before each.
pub fn paced<T: Into<String>>(pieces: impl IntoIterator<Item = T>, pause: Duration) -> Script {
    let steps = pieces.into_iter().flat_map(|piece| [Step::Wait(pause), Step::Text(piece.into())]);
    Script::Steps(steps.chain([stop()]).collect())
}

/// An error that is no event, as a proxy appends it to a stream.
pub fn bare_error(status: StatusCode) -> Bytes {
    gemini::encode_error(status.as_u16(), ERROR_MESSAGE).into()
}

/// A chunk with this text, the finish reason `STOP` and the usage.
pub fn finished_chunk(text: &str) -> Bytes {
    let identity = gemini::Identity { model_version: "scripted", response_id: "scripted-response" };
    let events = [
        ModelEvent::TextDelta(text.to_owned()),
        ModelEvent::Usage(USAGE),
        ModelEvent::Finish(FinishReason::Stop),
    ];
    let mut chunk = Vec::new();
    gemini::encode_chunk(&mut chunk, identity, &events);
    chunk.into()
}

fn error_event(status: StatusCode) -> Bytes {
    let body = gemini::encode_error(status.as_u16(), ERROR_MESSAGE);
    [b"data: ", body.as_slice(), b"\r\n\r\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_names_are_scripts() {
        for (name, _) in NAMES {
            assert!(Script::by_name(name).is_some(), "{name}");
        }
        assert!(Script::by_name("no-such-script").is_none());
    }

    #[test]
    fn error_bodies_contain_markers() {
        for text in [ERROR_MESSAGE, HTML] {
            assert!(TELL_TALES.iter().all(|word| text.contains(word)), "{text}");
        }
    }
}
