//! A streamed answer, event by event.

use std::collections::VecDeque;

use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;
use shared::{id::Id, sse::Decoder};

use crate::wait::bounded;

const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its `id`, which counts from 1 within the turn.
    pub id: u64,
    /// Its type, such as `message.delta`.
    pub kind: String,
    /// Its data.
    pub data: Value,
}

impl Event {
    /// The turn that this event begins or ends.
    ///
    /// # Panics
    /// When it does neither.
    pub fn turn_id(&self) -> Id {
        Id::deserialize(&self.data["turn_id"]).unwrap_or_else(|_| panic!("no turn in {self:?}"))
    }

    /// Whether nothing follows it.
    pub fn is_terminal(&self) -> bool {
        let kind = self.kind.strip_prefix("turn.");
        kind.is_some_and(|kind| {
            matches!(kind, "completed" | "incomplete" | "cancelled" | "failed" | "interrupted")
        })
    }
}

/// The connection broke within the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A stream of events as it arrives. Dropping it is what a phone does that loses its network.
#[derive(Debug)]
pub struct EventStream {
    response: Response,
    decoder: Decoder,
    pending: VecDeque<Event>,
    what: String,
}

impl EventStream {
    pub(super) fn new(response: Response, what: String) -> Self {
        Self { response, decoder: Decoder::new(MAX_EVENT_BYTES), pending: VecDeque::new(), what }
    }

    /// A header of the response.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The next event, `None` at the end of the stream.
    ///
    /// # Errors
    /// [`Broken`] when the connection broke.
    ///
    /// # Panics
    /// When nothing comes for too long, or what comes is not an event of the API.
    pub async fn try_next(&mut self) -> Result<Option<Event>, Broken> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(Some(event));
            }
            let piece = bounded(&format!("the next event of {}", self.what), self.response.chunk()).await;
            let Some(piece) = piece.map_err(|_| Broken)? else { return Ok(None) };
            let mut bytes = &piece[..];
            while let Some(frame) = self.decoder.read(&mut bytes).expect("an event of sensible size") {
                let id = frame.id.parse().unwrap_or_else(|_| panic!("an event without an id: {frame:?}"));
                let data =
                    serde_json::from_str(&frame.data).unwrap_or_else(|_| panic!("not JSON: {frame:?}"));
                self.pending.push_back(Event { id, kind: frame.event.into_owned(), data });
            }
        }
    }

    /// The next event, `None` at the end of the stream.
    ///
    /// # Panics
    /// When the connection broke, or as [`Self::try_next`].
    pub async fn next(&mut self) -> Option<Event> {
        self.try_next().await.unwrap_or_else(|Broken| panic!("the connection of {} broke", self.what))
    }

    /// The next event, which must be of this type.
    ///
    /// # Panics
    /// When it is another, or the stream ended.
    pub async fn expect(&mut self, kind: &str) -> Event {
        let event = self.next().await.unwrap_or_else(|| panic!("{} ended before {kind}", self.what));
        assert_eq!(event.kind, kind, "{event:?}");
        event
    }

    /// The text of the next event, which must be a delta.
    ///
    /// # Panics
    /// When it is another, or the stream ended.
    pub async fn delta(&mut self) -> String {
        let event = self.expect("message.delta").await;
        event.data["text"].as_str().expect("the text of a delta").to_owned()
    }

    /// All further events, to the end of the stream.
    ///
    /// # Panics
    /// As [`Self::next`].
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// The text a reader of these events has in the end.
///
/// # Panics
/// When an event lacks what its type promises.
pub fn text_of<'a>(events: impl IntoIterator<Item = &'a Event>) -> String {
    let mut text = String::new();
    for event in events {
        let piece = || event.data["text"].as_str().unwrap_or_else(|| panic!("no text in {event:?}"));
        match event.kind.as_str() {
            "message.delta" => text.push_str(piece()),
            "reset" => piece().clone_into(&mut text),
            _ => {}
        }
    }
    text
}
