//! The messages that a turn adds to its conversation.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    api::chat::{Message, Role},
    id::Id,
};

/// Messages of a turn at most: what is said and the answer, and two for each round of tool calls between them.
pub const MAX_TURN_MESSAGES: usize = 100;

/// The messages that a turn adds, in order: 1 to [`MAX_TURN_MESSAGES`] of them, the last of which is the answer. Each but the
/// first follows the one before it.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnMessages {
    /// All but the last.
    before: Vec<Message>,
    answer: Message,
}

impl TurnMessages {
    /// Returns the messages of a turn; `None` when there are none, or too many.
    pub fn new(mut messages: Vec<Message>) -> Option<Self> {
        if messages.len() > MAX_TURN_MESSAGES {
            return None;
        }
        let answer = messages.pop()?;
        Some(Self { before: messages, answer })
    }

    /// Returns the messages of a turn with these before its answer: fewer than [`MAX_TURN_MESSAGES`], as whoever takes a turn on
    /// makes sure of.
    pub(crate) const fn with_answer(before: Vec<Message>, answer: Message) -> Self {
        Self { before, answer }
    }

    /// Returns the first message: what the user said, or the answer where nobody said anything.
    pub fn first(&self) -> &Message {
        self.before.first().unwrap_or(&self.answer)
    }

    /// Returns what the user said; `None` in a turn that only answers.
    pub fn question(&self) -> Option<&Message> {
        self.before.iter().find(|message| message.role == Role::User)
    }

    /// Returns the last message.
    pub const fn answer(&self) -> &Message {
        &self.answer
    }

    /// Returns the last message, to change it.
    pub const fn answer_mut(&mut self) -> &mut Message {
        &mut self.answer
    }

    /// Returns the message that the first one follows.
    pub fn parent_id(&self) -> Option<Id> {
        self.first().parent_id
    }

    /// Returns how many there are: at least one.
    #[expect(clippy::len_without_is_empty, reason = "a turn has at least one message")]
    pub const fn len(&self) -> usize {
        self.before.len() + 1
    }

    /// Returns the messages in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.before.iter().chain([&self.answer])
    }

    /// Returns the messages in order, to change them.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Message> {
        self.before.iter_mut().chain([&mut self.answer])
    }

    /// Returns the messages in order.
    pub fn into_vec(self) -> Vec<Message> {
        let Self { mut before, answer } = self;
        before.push(answer);
        before
    }

    /// Reads the messages with this reader of a list.
    pub(crate) fn deserialize_with<'de, D: Deserializer<'de>>(
        deserializer: D,
        read: impl FnOnce(D) -> Result<Vec<Message>, D::Error>,
    ) -> Result<Self, D::Error> {
        let wrong = || de::Error::custom(format!("a turn has 1 to {MAX_TURN_MESSAGES} messages"));
        Self::new(read(deserializer)?).ok_or_else(wrong)
    }
}

impl Serialize for TurnMessages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for TurnMessages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize_with(deserializer, Vec::deserialize)
    }
}
