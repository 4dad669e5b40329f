//! The record of a turn in a row of the user object's database. Each text is in it once: fields that follow from others are
//! left out, so that the largest question and the longest answer fit in one row.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    api::{
        chat::{Message, Part, TurnError, TurnKind, TurnStatus, joined_text},
        internal::TurnMessages,
        usage::Usage,
    },
    id::Id,
    telemetry::TraceContext,
    time::Timestamp,
};

/// Bytes of a value in the user object's database at most. The platform takes 2 MB a row (Durable Objects, SQLite limits);
/// the rest is for the row's other columns.
pub const MAX_ROW_BYTES: usize = 1_900_000;

/// The stored form of a turn, written when it begins and when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// The turn's id.
    pub turn_id: Id,
    /// The user's id.
    pub user_id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// The kind of turn.
    pub kind: TurnKind,
    /// The conversation's head as it was known when the turn began.
    pub head_before: Option<Id>,
    /// The messages it adds; the text of the answer is complete once the turn has ended.
    #[serde(with = "compact_list")]
    pub messages: TurnMessages,
    /// The model's alias.
    pub model: String,
    /// The tokens used so far.
    pub usage: Usage,
    /// About the tokens of the prompt. 0 in turns of earlier versions.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// The reason why it did not complete.
    pub error: Option<TurnError>,
    /// True when the origin has stored it.
    pub persisted: bool,
    /// The time at which it was admitted.
    pub created_at: Timestamp,
    /// The time at which it ended.
    pub finished_at: Option<Timestamp>,
    /// The id of the `reset` before the end of an interrupted turn, after every id that may have been sent before. `None` in
    /// other turns, and in those that an earlier version ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_id: Option<u64>,
    /// The request that began it, in its trace; none without traces, and in turns of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

impl TurnRecord {
    /// Returns the record to store for an ended turn when storage refuses its full record: that it was interrupted, which it is
    /// if this process ends before the delivery. Its text is then that of the stored events.
    #[must_use]
    pub(super) fn without_answer(&self, reset_id: u64) -> Self {
        let mut record = Self { error: None, reset_id: Some(reset_id), ..self.clone() };
        let answer = record.messages.answer_mut();
        answer.content.clear();
        answer.parts.clear();
        answer.status = TurnStatus::Interrupted;
        answer.finish_reason = None;
        record
    }

    /// Sets the text of an empty answer to that of its events.
    pub(super) fn recover_answer(&mut self, text: String) {
        let answer = self.messages.answer_mut();
        if answer.content.is_empty() && !text.is_empty() {
            answer.parts = vec![Part::Text { text: text.clone() }];
            answer.content = text;
        }
    }
}

/// Returns the longest start of a text that fits in `room` bytes of JSON, and the bytes that are left.
pub(super) fn fitting(text: &str, room: usize) -> (&str, usize) {
    let mut left = room;
    for (at, c) in text.char_indices() {
        match left.checked_sub(json_bytes(c)) {
            Some(rest) => left = rest,
            None => return (text.get(..at).unwrap_or_default(), left),
        }
    }
    (text, left)
}

/// Returns the bytes of a character in a JSON string (RFC 8259, section 7), as encoded here.
const fn json_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

/// A message with every text once: in its content when its parts are only that, else in its parts.
pub(super) struct CompactMessage(pub(super) Message);

impl Serialize for CompactMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        compacted(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CompactMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut message = Message::deserialize(deserializer)?;
        if message.content.is_empty() {
            message.content = joined_text(&message.parts);
        } else if message.parts.is_empty() {
            message.parts = vec![Part::Text { text: message.content.clone() }];
        }
        Ok(Self(message))
    }
}

fn compacted(message: &Message) -> Message {
    let mut message = message.clone();
    if !message.content.is_empty() {
        if message.is_plain() {
            message.parts.clear();
        } else if message.content == joined_text(&message.parts) {
            message.content.clear();
        }
    }
    message
}

/// The messages of a turn, each a [`CompactMessage`].
mod compact_list {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{CompactMessage, compacted};
    use crate::api::internal::TurnMessages;

    pub(super) fn serialize<S: Serializer>(
        messages: &TurnMessages,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(messages.iter().map(compacted))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TurnMessages, D::Error> {
        TurnMessages::deserialize_with(deserializer, |deserializer| {
            let list = Vec::<CompactMessage>::deserialize(deserializer)?;
            Ok(list.into_iter().map(|message| message.0).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{chat::Role, internal::MAX_TURN_MESSAGES};

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn message(parts: Vec<Part>) -> Message {
        let id = Id::new(NOW, [1; 10]);
        Message {
            id,
            conversation_id: id,
            turn_id: id,
            parent_id: None,
            siblings: vec![id],
            seq: 1,
            role: Role::User,
            content: joined_text(&parts),
            parts,
            status: TurnStatus::Completed,
            finish_reason: None,
            model: None,
            usage: None,
            tool_calls: Vec::new(),
            created_at: NOW,
            updated_at: NOW,
        }
    }

    fn record(asked: Vec<Part>, answered: Vec<Part>) -> TurnRecord {
        let id = Id::new(NOW, [2; 10]);
        TurnRecord {
            turn_id: id,
            user_id: id,
            conversation_id: id,
            kind: TurnKind::Reply,
            head_before: None,
            messages: TurnMessages::new(vec![message(asked), message(answered)]).unwrap(),
            model: "fast".to_owned(),
            usage: Usage::default(),
            prompt_tokens: 0,
            error: None,
            persisted: false,
            created_at: NOW,
            finished_at: None,
            reset_id: None,
            trace: None,
        }
    }

    fn part() -> impl Strategy<Value = Part> {
        let text = any::<String>().prop_map(|text| Part::Text { text });
        let image = any::<String>().prop_map(|data| Part::Image {
            mime_type: Some("image/png".to_owned()),
            data: Some(data),
            file_id: None,
        });
        prop_oneof![text, image]
    }

    proptest! {
        #[test]
        fn record_round_trips(
            asked in prop::collection::vec(part(), 0..4),
            answered in prop::option::of(any::<String>()),
        ) {
            let answered = answered.map(|text| Part::Text { text });
            let record = record(asked, answered.into_iter().collect());
            let json = serde_json::to_string(&record).unwrap();
            prop_assert_eq!(serde_json::from_str::<TurnRecord>(&json).unwrap(), record);
        }

        #[test]
        fn fitting_text_has_its_json_length(text: String, room in 0usize..200) {
            let (fits, left) = fitting(&text, room);
            prop_assert!(text.starts_with(fits));
            // Two more bytes for the quotes.
            prop_assert_eq!(serde_json::to_string(fits).unwrap().len(), room - left + 2);
            if let Some(next) = text.strip_prefix(fits).and_then(|rest| rest.chars().next()) {
                prop_assert!(serde_json::to_string(&next).unwrap().len() > left + 2);
            }
        }
    }

    #[test]
    fn control_characters_count_as_encoded() {
        for c in (0..=0x100).filter_map(char::from_u32) {
            assert_eq!(json_bytes(c) + 2, serde_json::to_string(&c).unwrap().len(), "{c:?}");
        }
    }

    #[test]
    fn text_is_stored_once() {
        let text = |text: &str| Part::Text { text: text.to_owned() };
        let image = Part::Image { mime_type: None, data: None, file_id: Some("file".to_owned()) };
        let json =
            serde_json::to_string(&record(vec![text("Look: "), image, text("well?")], vec![text("Nice.")]));
        let json = json.unwrap();
        for word in ["Look", "well", "Nice"] {
            assert_eq!(json.matches(word).count(), 1, "{json}");
        }
    }

    #[test]
    fn trace_of_a_turn_is_stored_where_there_is_one() {
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut record = record(vec![], vec![]);
        assert!(serde_json::to_value(&record).unwrap().get("trace").is_none());
        record.trace = TraceContext::parse(context);
        let stored = serde_json::to_value(&record).unwrap();
        assert_eq!(stored["trace"], context);
        assert_eq!(serde_json::from_value::<TurnRecord>(stored).unwrap(), record);
    }

    #[rstest]
    #[case::none(json!([]))]
    #[case::too_many(json!(vec![message(vec![]); MAX_TURN_MESSAGES + 1]))]
    fn record_without_messages_or_with_too_many_is_none(#[case] messages: Value) {
        let mut stored = serde_json::to_value(record(vec![], vec![])).unwrap();
        stored["messages"] = messages;
        assert!(serde_json::from_value::<TurnRecord>(stored).is_err());
    }
}
