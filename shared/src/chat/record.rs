//! What of a turn is stored, in a row of the user object's database. The words are in it once: what can be told from the
//! rest is left out, so that the largest question and the longest answer fit in one row of the platform's.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    api::{
        chat::{Message, Part, TurnError, TurnKind, TurnStatus, joined_text},
        internal::TurnMessages,
        usage::Usage,
    },
    id::Id,
    time::Timestamp,
};

/// Bytes of a value in the user object's database at most. The platform takes 2 MB a row (Durable Objects, SQLite limits);
/// the rest is for the row's other columns.
pub const MAX_ROW_BYTES: usize = 1_900_000;

/// What of a turn is stored: written when it begins and when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// The turn's id.
    pub turn_id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// The conversation it belongs to.
    pub conversation_id: Id,
    /// What it does to the conversation.
    pub kind: TurnKind,
    /// The conversation's head as it was known when the turn began.
    pub head_before: Option<Id>,
    /// What it adds; the text of the answer is complete once the turn has ended.
    #[serde(with = "compact_list")]
    pub messages: TurnMessages,
    /// The model's alias.
    pub model: String,
    /// What it used so far.
    pub usage: Usage,
    /// Why it did not complete.
    pub error: Option<TurnError>,
    /// Whether the origin has it.
    pub persisted: bool,
    /// When it was taken on.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The id of the `reset` before the end of a turn that was cut off: behind every id that may have been given out before.
    /// None in other turns, and in those that an earlier version ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_id: Option<u64>,
}

impl TurnRecord {
    /// What to store of a turn that has ended when storage does not take its record: that it was interrupted, which is what
    /// it is should this process end before the origin has it. Its text is then that of the events which storage has.
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

    /// Gives an answer without words those that its events have.
    pub(super) fn recover_answer(&mut self, text: String) {
        let answer = self.messages.answer_mut();
        if answer.content.is_empty() && !text.is_empty() {
            answer.parts = vec![Part::Text { text: text.clone() }];
            answer.content = text;
        }
    }
}

/// As much of a text as fits in `room` bytes of JSON, and the bytes that are left.
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

/// How many bytes a character takes in a string of JSON (RFC 8259, section 7), as it is written here.
const fn json_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

/// A message that says every word once: in its text when its parts are only that, else in its parts.
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
            error: None,
            persisted: false,
            created_at: NOW,
            finished_at: None,
            reset_id: None,
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
        fn a_record_is_read_as_it_was_written(
            asked in prop::collection::vec(part(), 0..4),
            answered in prop::option::of(any::<String>()),
        ) {
            let answered = answered.map(|text| Part::Text { text });
            let record = record(asked, answered.into_iter().collect());
            let json = serde_json::to_string(&record).unwrap();
            prop_assert_eq!(serde_json::from_str::<TurnRecord>(&json).unwrap(), record);
        }

        #[test]
        fn what_fits_is_as_long_as_json_writes_it(text: String, room in 0usize..200) {
            let (fits, left) = fitting(&text, room);
            prop_assert!(text.starts_with(fits));
            // Two more bytes are the quotes.
            prop_assert_eq!(serde_json::to_string(fits).unwrap().len(), room - left + 2);
            if let Some(next) = text.strip_prefix(fits).and_then(|rest| rest.chars().next()) {
                prop_assert!(serde_json::to_string(&next).unwrap().len() > left + 2);
            }
        }
    }

    #[test]
    fn every_control_character_is_counted_as_it_is_written() {
        for c in (0..=0x100).filter_map(char::from_u32) {
            assert_eq!(json_bytes(c) + 2, serde_json::to_string(&c).unwrap().len(), "{c:?}");
        }
    }

    #[test]
    fn every_word_is_stored_once() {
        let text = |text: &str| Part::Text { text: text.to_owned() };
        let image = Part::Image { mime_type: None, data: None, file_id: Some("file".to_owned()) };
        let json =
            serde_json::to_string(&record(vec![text("Look: "), image, text("well?")], vec![text("Nice.")]));
        let json = json.unwrap();
        for word in ["Look", "well", "Nice"] {
            assert_eq!(json.matches(word).count(), 1, "{json}");
        }
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
