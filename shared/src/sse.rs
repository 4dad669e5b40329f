//! Server-Sent Events in the format of WHATWG HTML section 9.2 ("Server-sent events"): an incremental decoder of bytes split
//! anywhere by the network, and an encoder.
//!
//! The meaning of events (which JSON, which order) is not known here; `retry:` fields are read past, because nothing in
//! EdgeChat reconnects on the word of a provider.

use std::borrow::Cow;

/// A comment that keeps an idle stream open and that readers ignore. It is one line: some clients take the blank line after a
/// comment for an empty event.
pub const PING: &[u8] = b": ping\n";

/// The bytes of a `text/*` response that URLSession of iOS buffers before it passes any to the app.
const HELD_BACK_BYTES: usize = 512;
/// The milliseconds after which a browser's EventSource reconnects when its connection is lost.
const RETRY_MS: u32 = 1_000;

/// Returns the start of a stream: the reconnection time, and one comment that fills a client's buffer, so that the first event
/// is seen when it arrives.
pub fn opening() -> Vec<u8> {
    let mut bytes = format!("retry: {RETRY_MS}\n: ").into_bytes();
    bytes.resize(HELD_BACK_BYTES, b'.');
    bytes.push(b'\n');
    bytes
}

/// The most bytes of text outside events that a decoder keeps.
const MAX_BESIDE_BYTES: usize = 64 * 1024;
/// The beginnings of lines of the fields that the standard knows, and of comments.
const FIELDS: [&[u8]; 5] = [b":", b"data:", b"event:", b"id:", b"retry:"];

/// Appends one event to `out`. Line ends inside `data` (`\n`, `\r\n`, `\r`) become further `data:` lines, which a reader
/// joins by `\n`; inside `event` they are left out. An empty `event` writes no `event:` line (the type is "message").
pub fn encode(out: &mut Vec<u8>, id: Option<u64>, event: &str, data: &str) {
    out.reserve(data.len() + event.len() + 48);
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.to_string().as_bytes());
        out.push(b'\n');
    }
    if !event.is_empty() {
        out.extend_from_slice(b"event: ");
        out.extend(event.bytes().filter(|byte| !is_line_end(*byte)));
        out.push(b'\n');
    }
    let mut rest = data;
    while let Some((line, after)) = rest.find(['\r', '\n']).and_then(|at| rest.split_at_checked(at)) {
        data_line(out, line);
        rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\r', '\n'])).unwrap_or_default();
    }
    data_line(out, rest);
    out.push(b'\n');
}

fn data_line(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

/// One event as it was dispatched. Bytes that are not UTF-8 appear as U+FFFD, as the standard asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The last event id seen so far in the stream, this event's or an earlier one's; empty when there was none.
    pub id: Cow<'a, str>,
    /// The event type; "message" when the event names none.
    pub event: Cow<'a, str>,
    /// All `data:` lines of the event, joined by `\n`.
    pub data: Cow<'a, str>,
}

/// The error of an event over the decoder's bound. The stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is larger than the bound")]
pub struct TooLong;

/// An incremental decoder. Memory stays within a small multiple of the bound given to [`Decoder::new`], and buffers are
/// reused from event to event: reading a stream of like events allocates nothing after the first.
///
/// An event that is truncated by the end of the stream (no blank line after it) is never dispatched; the decoder is simply
/// dropped at the end.
#[derive(Debug, Clone)]
pub struct Decoder {
    max_event_bytes: usize,
    /// The incomplete line, when it began in an earlier read.
    line: Vec<u8>,
    /// The values of the event's `data` lines, each followed by `\n`.
    data: Vec<u8>,
    event: Vec<u8>,
    id: Vec<u8>,
    /// Lines without a field of the standard, each followed by `\n`.
    beside: Vec<u8>,
    at_start: bool,
    /// True when the last line ended in `\r`: a `\n` that follows belongs to it.
    after_cr: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// `data` and `event` were returned and are cleared at the next read.
    Dispatched,
    TooLong,
}

impl Decoder {
    /// Creates a decoder. `max_event_bytes` bounds the bytes of one event: its data, its type and the incomplete line.
    pub const fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            line: Vec::new(),
            data: Vec::new(),
            event: Vec::new(),
            id: Vec::new(),
            beside: Vec::new(),
            at_start: true,
            after_cr: false,
            state: State::Reading,
        }
    }

    /// Takes bytes off the front of `input` up to the end of the next event and returns that event, or takes all of
    /// `input` and returns `None`. Call it until it returns `None`:
    ///
    /// ```
    /// # use edgechat_shared::sse::{Decoder, TooLong};
    /// # fn main() -> Result<(), TooLong> {
    /// let mut decoder = Decoder::new(1024);
    /// let mut texts = Vec::new();
    /// for mut chunk in [&b"data: Hel"[..], b"lo\r", b"\n\r\n", b"data: you\n\n"] {
    ///     while let Some(frame) = decoder.read(&mut chunk)? {
    ///         texts.push(frame.data.into_owned());
    ///     }
    /// }
    /// assert_eq!(texts, ["Hello", "you"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Fails with [`TooLong`] when an event is over the bound, and from then on.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Frame<'_>>, TooLong> {
        if self.state == State::Dispatched {
            self.state = State::Reading;
            self.data.clear();
            self.event.clear();
        }
        if !self.advance(input)? {
            return Ok(None);
        }
        self.state = State::Dispatched;
        let data = self.data.strip_suffix(b"\n").unwrap_or(&self.data);
        let event: &[u8] = if self.event.is_empty() { b"message" } else { &self.event };
        Ok(Some(Frame {
            id: String::from_utf8_lossy(&self.id),
            event: String::from_utf8_lossy(event),
            data: String::from_utf8_lossy(data),
        }))
    }

    /// Returns the text so far outside events: lines without a field of the standard, an incomplete one included. Up to 64 KiB are
    /// kept; a line that does not fit is left out.
    pub fn beside(&self) -> Vec<u8> {
        let mut text = self.beside.clone();
        let may_be = |field: &&[u8]| self.line.starts_with(field) || field.starts_with(&self.line);
        if !self.line.is_empty() && !FIELDS.iter().any(may_be) {
            text.extend_from_slice(&self.line);
        }
        text
    }

    /// Returns the data so far of an incomplete event.
    pub fn cut_off(&self) -> Vec<u8> {
        let mut data = if self.state == State::Reading { self.data.clone() } else { Vec::new() };
        data.extend_from_slice(self.line.strip_prefix(b"data:").unwrap_or_default());
        data
    }

    fn keep_beside(&mut self, line: &[u8]) {
        if self.beside.len().saturating_add(line.len()) < MAX_BESIDE_BYTES {
            self.beside.extend_from_slice(line);
            self.beside.push(b'\n');
        }
    }

    /// Reads lines until an event is complete (`true`) or `input` is used up (`false`).
    fn advance(&mut self, input: &mut &[u8]) -> Result<bool, TooLong> {
        while let Some(&first) = input.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                *input = input.get(1..).unwrap_or_default();
                continue;
            }
            let end = input.iter().position(|byte| is_line_end(*byte)).unwrap_or(input.len());
            let (head, tail) = input.split_at_checked(end).unwrap_or((input, &[]));
            self.check(head.len())?;
            let Some((line_end, rest)) = tail.split_first() else {
                self.line.extend_from_slice(head);
                *input = tail;
                return Ok(false);
            };
            *input = rest;
            self.after_cr = *line_end == b'\r';
            if self.end_line(head) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check(&mut self, more: usize) -> Result<(), TooLong> {
        let held = self.line.len().saturating_add(self.data.len()).saturating_add(self.event.len());
        if self.state == State::TooLong || held.saturating_add(more) > self.max_event_bytes {
            self.state = State::TooLong;
            return Err(TooLong);
        }
        Ok(())
    }

    /// Ends the current line with `tail` as its last (often its only) piece; `true` when that completes an event.
    fn end_line(&mut self, tail: &[u8]) -> bool {
        if self.line.is_empty() {
            return self.field(tail);
        }
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(tail);
        let complete = self.field(&line);
        line.clear();
        self.line = line;
        complete
    }

    fn field(&mut self, line: &[u8]) -> bool {
        let mark = if std::mem::take(&mut self.at_start) { &b"\xEF\xBB\xBF"[..] } else { b"" };
        let line = line.strip_prefix(mark).unwrap_or(line);
        if line.is_empty() {
            if self.data.is_empty() {
                self.event.clear();
            }
            return !self.data.is_empty();
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at_checked(colon).unwrap_or((line, &[]));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => replace(&mut self.event, value),
            b"id" if !value.contains(&0) => replace(&mut self.id, value),
            b"" | b"id" | b"retry" => {}
            _ => self.keep_beside(line),
        }
        false
    }
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn replace(buffer: &mut Vec<u8>, value: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
