//! A streamed response, event by event.

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
    /// Returns the id of the turn that this event begins or ends.
    ///
    /// # Panics
    /// Panics when it does neither.
    pub fn turn_id(&self) -> Id {
        Id::deserialize(&self.data["turn_id"]).unwrap_or_else(|_| panic!("no turn in {self:?}"))
    }

    /// Returns true for a terminal event, which is the last of a turn.
    pub fn is_terminal(&self) -> bool {
        let kind = self.kind.strip_prefix("turn.");
        kind.is_some_and(|kind| {
            matches!(kind, "completed" | "incomplete" | "cancelled" | "failed" | "interrupted")
        })
    }
}

/// The error of a connection that broke within the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A stream of events as it arrives. Dropping it disconnects, like a phone that loses its network.
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

    /// Returns a header of the response.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The next event, `None` at the end of the stream.
    ///
    /// # Errors
    /// Fails with [`Broken`] when the connection breaks.
    ///
    /// # Panics
    /// Panics when nothing arrives in time, or something that is not an event of the API.
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
    /// Panics when the connection breaks, and as [`Self::try_next`].
    pub async fn next(&mut self) -> Option<Event> {
        self.try_next().await.unwrap_or_else(|Broken| panic!("the connection of {} broke", self.what))
    }

    /// Returns the next event, after asserting its type.
    ///
    /// # Panics
    /// Panics when it is of another type, or the stream ended.
    pub async fn expect(&mut self, kind: &str) -> Event {
        let event = self.next().await.unwrap_or_else(|| panic!("{} ended before {kind}", self.what));
        assert_eq!(event.kind, kind, "{event:?}");
        event
    }

    /// Returns the text of the next event, after asserting that it is a delta.
    ///
    /// # Panics
    /// Panics when it is another, or the stream ended.
    pub async fn delta(&mut self) -> String {
        let event = self.expect("message.delta").await;
        event.data["text"].as_str().expect("the text of a delta").to_owned()
    }

    /// Reads all further events, to the end of the stream.
    ///
    /// # Panics
    /// Panics as [`Self::next`].
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// Returns the text that a reader of these events has in the end.
///
/// # Panics
/// Panics when an event lacks a field of its type.
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
