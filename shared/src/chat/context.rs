//! What of a conversation goes to the model: its newest messages that fit, beginning with one of the user's. Of a message
//! whose pictures have no room the words go.

use crate::{
    api::{
        chat::{Message, Part, Role},
        internal::{CONTEXT_MESSAGES, ConversationContext},
    },
    provider::{self, ChatMessage, ContentPart},
};

/// Bytes of messages a context holds at most; the newest are kept. Bounds what crosses from the origin to the edge and
/// what goes to the model with every message.
pub const CONTEXT_BYTES: usize = 512 * 1024;
/// What an image counts in tokens (Gemini: 258 a tile; a phone's picture is about four).
const IMAGE_TOKENS: usize = 1_032;
/// What stands for a picture that has no room, or that is not at hand.
const IMAGE_LEFT_OUT: &str = "[image]";
/// Bytes a token stands for at least, over the languages people write: a cautious estimate, never a bill.
const BYTES_PER_TOKEN: usize = 3;

/// Room for messages: for so many, and for so many bytes of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many messages fit.
    pub messages: usize,
    /// How many bytes of content fit.
    pub bytes: usize,
}

impl Room {
    /// The room of a context, which its newest messages fill.
    pub const CONTEXT: Self = Self { messages: CONTEXT_MESSAGES, bytes: CONTEXT_BYTES };

    /// Takes the room of one message in a context. A picture that has no room does not take its words along, nor what was
    /// said before: the message then stays without the data of its pictures. False, and nothing is taken, when even that does
    /// not fit.
    pub fn take_in_context(&mut self, message: &mut Message) -> bool {
        if self.take(message) {
            return true;
        }
        message.leave_pictures_out();
        self.take(message)
    }

    /// Takes the room of one message. False, and nothing is taken, when it does not fit.
    pub fn take(&mut self, message: &Message) -> bool {
        let left = (self.messages.checked_sub(1), self.bytes.checked_sub(message.content_bytes()));
        let (Some(messages), Some(bytes)) = left else { return false };
        *self = Self { messages, bytes };
        true
    }
}

/// Takes the newest messages that fit the bounds of a context, oldest first.
pub fn newest(mut messages: Vec<Message>) -> Vec<Message> {
    let mut room = Room::CONTEXT;
    let left_over = messages.iter_mut().rposition(|message| !room.take_in_context(message));
    messages.drain(..left_over.map_or(0, |at| at + 1));
    messages
}

/// Adds a turn's two messages to the context it was answered in.
pub fn extend(context: &mut ConversationContext, user: Message, assistant: Message) {
    context.last_seq = context.last_seq.max(assistant.seq);
    context.messages.push(user);
    context.messages.push(assistant);
    context.messages = newest(std::mem::take(&mut context.messages));
}

/// The messages to send: what of the history fits `budget_tokens` beside the new message, then the new message.
///
/// An answer that failed without a word is left out; neighbours of one role are allowed, the wire format merges them. The
/// first message is always the user's. The new message goes out even when it alone is over the budget: the provider's
/// answer to that is the truth.
pub fn prompt(history: &[Message], new: &[Part], budget_tokens: usize) -> Vec<ChatMessage> {
    let mut left = budget_tokens.saturating_sub(tokens(new));
    let mut picked: Vec<&Message> = Vec::new();
    for message in history.iter().rev().filter(|message| !message.parts.is_empty()) {
        match left.checked_sub(tokens(&message.parts)) {
            Some(rest) => left = rest,
            None => break,
        }
        picked.push(message);
    }
    picked
        .iter()
        .rev()
        .skip_while(|message| message.role != Role::User)
        .filter_map(|message| {
            let role = match message.role {
                Role::User => provider::Role::User,
                Role::Assistant => provider::Role::Model,
                Role::Tool => return None,
            };
            Some(ChatMessage { role, parts: content(&message.parts) })
        })
        .chain(std::iter::once(ChatMessage { role: provider::Role::User, parts: content(new) }))
        .collect()
}

fn content(parts: &[Part]) -> Vec<ContentPart> {
    parts
        .iter()
        .map(|part| match part {
            Part::Text { text } => ContentPart::Text(text.clone()),
            Part::Image { mime_type: Some(mime_type), data: Some(data), .. } => {
                ContentPart::InlineImage { mime_type: mime_type.clone(), data_base64: data.clone() }
            }
            Part::Image { .. } => ContentPart::Text(IMAGE_LEFT_OUT.to_owned()),
        })
        .collect()
}

fn tokens(parts: &[Part]) -> usize {
    parts
        .iter()
        .map(|part| match part {
            Part::Text { text } => text.len().div_ceil(BYTES_PER_TOKEN),
            Part::Image { data: Some(_), .. } => IMAGE_TOKENS,
            Part::Image { data: None, .. } => IMAGE_LEFT_OUT.len().div_ceil(BYTES_PER_TOKEN),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{api::chat::TurnStatus, id::Id, time::Timestamp};

    fn message(seq: u64, role: Role, text: &str) -> Message {
        let id = Id::new(Timestamp::from_millis(1), [0; 10]);
        let parts = if text.is_empty() { vec![] } else { vec![Part::Text { text: text.to_owned() }] };
        Message {
            id,
            conversation_id: id,
            turn_id: id,
            parent_id: None,
            seq,
            role,
            content: text.to_owned(),
            parts,
            status: TurnStatus::Completed,
            finish_reason: None,
            model: None,
            usage: None,
            tool_calls: vec![],
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    fn texts(messages: &[ChatMessage]) -> Vec<String> {
        messages
            .iter()
            .flat_map(|message| &message.parts)
            .map(|part| match part {
                ContentPart::Text(text) => text.clone(),
                ContentPart::InlineImage { .. } => "[image]".to_owned(),
            })
            .collect()
    }

    #[test]
    fn the_newest_that_fit_go_out_and_the_first_is_the_users() {
        let history = [
            message(1, Role::User, "one"),
            message(2, Role::Assistant, "two"),
            message(3, Role::User, "three"),
            message(4, Role::Assistant, ""),
            message(5, Role::User, "five"),
            message(6, Role::Assistant, "six"),
        ];
        let new = [Part::Text { text: "new".to_owned() }];
        assert_eq!(texts(&prompt(&history, &new, 1_000)), ["one", "two", "three", "five", "six", "new"]);
        assert_eq!(texts(&prompt(&history, &new, 6)), ["three", "five", "six", "new"]);
        // Only "two" and what follows it would fit: an answer without its question is left out.
        assert_eq!(texts(&prompt(&history, &new, 7)), ["three", "five", "six", "new"]);
        assert_eq!(texts(&prompt(&history, &new, 0)), ["new"]);
        assert_eq!(texts(&prompt(&[], &new, 100)), ["new"]);
    }

    fn with_picture(mut message: Message, bytes: usize) -> Message {
        let (mime_type, data) = (Some("image/jpeg".to_owned()), Some("A".repeat(bytes)));
        message.parts.push(Part::Image { mime_type, data, file_id: None });
        message
    }

    #[test]
    fn a_picture_without_room_takes_no_words_along() {
        let photo = with_picture(message(3, Role::User, "What is this?"), CONTEXT_BYTES + 1);
        let history = newest(vec![
            message(1, Role::User, "I like birds"),
            message(2, Role::Assistant, "So do I"),
            photo,
            message(4, Role::Assistant, "A heron"),
        ]);
        let new = [Part::Text { text: "Where does it live?".to_owned() }];
        assert_eq!(
            texts(&prompt(&history, &new, 1_000)),
            ["I like birds", "So do I", "What is this?", "[image]", "A heron", "Where does it live?"]
        );
        assert!(history.iter().map(Message::content_bytes).sum::<usize>() <= CONTEXT_BYTES);
    }

    #[test]
    fn the_newest_pictures_stay() {
        let message = |seq| with_picture(message(seq, Role::User, "Look"), CONTEXT_BYTES / 2 - 8);
        let history = newest((1..=4).map(message).collect());
        let pictures = |message: &Message| message.content_bytes() > 8;
        assert_eq!(history.iter().map(pictures).collect::<Vec<_>>(), [false, false, true, true]);
        let sent = prompt(&history, &[], 10_000);
        let sent = sent.iter().flat_map(|message| &message.parts);
        let inline = sent.map(|part| matches!(part, ContentPart::InlineImage { .. }));
        assert_eq!(inline.collect::<Vec<_>>(), [false, false, false, false, false, true, false, true]);
    }

    proptest! {
        #[test]
        fn a_context_is_the_newest_run_within_its_bounds(sizes in prop::collection::vec(0usize..60_000, 0..80)) {
            let all: Vec<Message> = sizes
                .iter()
                .zip(1..)
                .map(|(size, seq)| message(seq, Role::User, &"x".repeat(*size)))
                .collect();
            let kept = newest(all.clone());
            prop_assert!(kept.len() <= CONTEXT_MESSAGES);
            prop_assert!(kept.iter().map(|m| m.content.len()).sum::<usize>() <= CONTEXT_BYTES);
            prop_assert_eq!(&all[all.len() - kept.len()..], kept.as_slice());
            if let Some(next) = all.len().checked_sub(kept.len() + 1).and_then(|at| all.get(at)) {
                let with_next = kept.iter().map(|m| m.content.len()).sum::<usize>() + next.content.len();
                prop_assert!(kept.len() == CONTEXT_MESSAGES || with_next > CONTEXT_BYTES);
            }
        }
    }
}
