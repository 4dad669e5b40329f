//! The state of a turn's reader, built from events as a client builds it, and checked against the rules of the stream.

use serde_json::Value;

use super::wire::Event;

/// The state of a reader of one turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// The id of the newest event.
    pub(super) last: u64,
    /// The text; `None` for a reader that began in the middle.
    pub(super) text: Option<String>,
    /// The turn's and its messages' ids, once received.
    pub(super) ids: Option<Ids>,
    /// The terminal event.
    pub(super) end: Option<Terminal>,
    /// The number of resets.
    pub(super) resets: u64,
}

/// The ids of `turn.started`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) turn: String,
    pub(super) user_message: String,
    pub(super) assistant_message: String,
}

impl Ids {
    /// Reads the ids from these fields.
    pub(super) fn read(turn: &Value, user_message: &Value, assistant_message: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Self {
            turn: text(turn)?,
            user_message: text(user_message)?,
            assistant_message: text(assistant_message)?,
        })
    }
}

/// The end of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    pub(super) id: u64,
    pub(super) status: String,
    pub(super) output_tokens: u64,
}

impl Held {
    /// A reader from the start.
    pub(super) fn nothing() -> Self {
        Self { text: Some(String::new()), ..Self::default() }
    }

    /// A reader with every event up to this id.
    pub(super) fn up_to(last: u64) -> Self {
        if last == 0 { Self::nothing() } else { Self { last, ..Self::default() } }
    }

    /// Applies an event.
    ///
    /// # Errors
    /// Fails with the rule that the event breaks.
    pub(super) fn take(&mut self, event: &Event) -> Result<(), String> {
        let Event { id, kind, data } = event;
        let id: u64 = id.parse().map_err(|_| format!("{kind} has the id {id:?}"))?;
        if let Some(end) = &self.end {
            return Err(format!("{kind} {id} follows the end, turn.{} {}", end.status, end.id));
        }
        if kind == "reset" {
            return self.reset(id, data);
        }
        if id != self.last + 1 {
            return Err(format!("{kind} {id} follows id {}", self.last));
        }
        self.last = id;
        match (id, kind.as_str()) {
            (1, "turn.started") => {
                let ids =
                    Ids::read(&data["turn_id"], &data["user_message_id"], &data["assistant_message_id"]);
                self.ids = Some(ids.ok_or_else(|| format!("turn.started lacks ids: {data}"))?);
            }
            (1, _) => return Err(format!("the first event is {kind}")),
            (_, "turn.started") => return Err(format!("turn.started is event {id}")),
            (_, "message.delta") => {
                let piece = data["text"].as_str().ok_or_else(|| format!("no text in delta {id}"))?;
                if let Some(text) = &mut self.text {
                    text.push_str(piece);
                }
            }
            (_, "message.completed") => self.agrees(kind, id, &data["message"]["content"])?,
            (_, "tool.call" | "tool.result") => {}
            _ => return self.finish(id, kind, data),
        }
        Ok(())
    }

    fn reset(&mut self, id: u64, data: &Value) -> Result<(), String> {
        let text = data["text"].as_str().ok_or_else(|| format!("no text in reset {id}"))?;
        if data["last_event_id"].as_u64() != Some(id) {
            return Err(format!("reset {id} says last_event_id {}", data["last_event_id"]));
        }
        if id == 0 {
            return Err("a reset has the id 0".to_owned());
        }
        (self.text, self.last) = (Some(text.to_owned()), id);
        self.resets += 1;
        Ok(())
    }

    fn finish(&mut self, id: u64, kind: &str, data: &Value) -> Result<(), String> {
        let status = kind.strip_prefix("turn.").unwrap_or_default();
        if !matches!(status, "completed" | "incomplete" | "cancelled" | "failed" | "interrupted") {
            return Err(format!("event {id} is {kind:?}"));
        }
        let output_tokens = data["usage"]["output_tokens"].as_u64().unwrap_or_default();
        self.end = Some(Terminal { id, status: status.to_owned(), output_tokens });
        if status == "completed" { Ok(()) } else { self.agrees(kind, id, &data["text"]) }
    }

    fn agrees(&mut self, kind: &str, id: u64, reported: &Value) -> Result<(), String> {
        let reported = reported.as_str().ok_or_else(|| format!("no text in {kind} {id}"))?;
        match &self.text {
            Some(text) if text != reported => Err(format!(
                "{kind} {id} says {:?}, and the words before it {:?}",
                short(reported),
                short(text)
            )),
            _ => {
                self.text = Some(reported.to_owned());
                Ok(())
            }
        }
    }
}

/// Shortens a text to its beginning, end and length.
pub(super) fn short(text: &str) -> String {
    const SHOWN: usize = 40;
    let length = text.chars().count();
    if length <= 2 * SHOWN {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN).collect();
    let tail: String = text.chars().skip(length - SHOWN).collect();
    format!("{head} … {tail} ({length} characters)")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(id: u64, kind: &str, data: Value) -> Event {
        Event { id: id.to_string(), kind: kind.to_owned(), data }
    }

    fn started() -> Event {
        event(
            1,
            "turn.started",
            json!({ "turn_id": "t", "user_message_id": "u", "assistant_message_id": "a" }),
        )
    }

    fn taken(events: &[Event]) -> Result<Held, String> {
        let mut held = Held::nothing();
        events.iter().try_for_each(|event| held.take(event)).map(|()| held)
    }

    #[test]
    fn reader_assembles_text_across_resets() {
        let events = [
            started(),
            event(2, "message.delta", json!({ "text": "a" })),
            event(3, "message.delta", json!({ "text": "lost" })),
            event(2, "reset", json!({ "text": "a", "last_event_id": 2 })),
            event(9, "reset", json!({ "text": "a", "last_event_id": 9 })),
            event(10, "turn.interrupted", json!({ "text": "a" })),
        ];
        let held = taken(&events).unwrap();
        assert_eq!((held.text.as_deref(), held.last, held.resets), (Some("a"), 10, 2));
        assert_eq!(held.end.unwrap().status, "interrupted");
    }

    #[test]
    fn reader_reports_each_broken_rule() {
        let delta = |id| event(id, "message.delta", json!({ "text": "x" }));
        let end = |id, text: &str| event(id, "turn.cancelled", json!({ "text": text }));
        for (events, expected) in [
            (vec![delta(1)], "first event"),
            (vec![started(), delta(3)], "follows id 1"),
            (vec![started(), started()], "follows id 1"),
            (vec![started(), end(2, "y")], "says \"y\""),
            (vec![started(), end(2, ""), delta(3)], "follows the end"),
            (vec![started(), event(2, "turn.odd", json!({}))], "turn.odd"),
        ] {
            let error = taken(&events).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
