//! The context of a conversation, which goes to the model: its newest messages that fit, beginning with one of the user's. Of a
//! message whose pictures do not fit, the words go.

use serde::{Deserialize, Serialize};

use super::record::{CompactMessage, MAX_ROW_BYTES, TurnRecord};
use crate::{
    api::{
        chat::{Message, Part, Role, TurnStatus},
        internal::{CONTEXT_MESSAGES, ConversationContext, Head},
    },
    id::Id,
    provider::{self, ChatMessage, ContentPart},
};

/// The most bytes of messages in a context; the newest are kept. Bounds the transfer from the origin to the edge and the
/// prompt of every message.
pub const CONTEXT_BYTES: usize = 512 * 1024;
/// Tokens that an image counts (Gemini: 258 a tile; a phone's picture is about four).
const IMAGE_TOKENS: usize = 1_032;
/// The text for a picture that does not fit, or that is not at hand.
const IMAGE_LEFT_OUT: &str = "[image]";
/// The least bytes of a token over all languages: a cautious estimate, not used for billing.
const BYTES_PER_TOKEN: usize = 3;

/// A budget of messages and of bytes of their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The number of messages that fit.
    pub messages: usize,
    /// The bytes of content that fit.
    pub bytes: usize,
}

impl Budget {
    /// The budget of a context, which its newest messages use up.
    pub const CONTEXT: Self = Self { messages: CONTEXT_MESSAGES, bytes: CONTEXT_BYTES };

    /// Takes one message of a context out of the budget. A picture that does not fit does not take its words along, nor what was
    /// said before: the message then stays without the data of its pictures. Returns false, and takes nothing, when even that
    /// does not fit.
    pub fn take_in_context(&mut self, message: &mut Message) -> bool {
        if self.take(message) {
            return true;
        }
        message.leave_pictures_out();
        self.take(message)
    }

    /// Takes one message out of the budget. Returns false, and takes nothing, when it does not fit.
    pub fn take(&mut self, message: &Message) -> bool {
        let left = (self.messages.checked_sub(1), self.bytes.checked_sub(message.content_bytes()));
        let (Some(messages), Some(bytes)) = left else { return false };
        *self = Self { messages, bytes };
        true
    }
}

/// Returns the newest messages that fit the budget of a context, oldest first.
pub fn newest(mut messages: Vec<Message>) -> Vec<Message> {
    let mut budget = Budget::CONTEXT;
    let left_over = messages.iter_mut().rposition(|message| !budget.take_in_context(message));
    messages.drain(..left_over.map_or(0, |at| at + 1));
    messages
}

/// Adds a turn that ended here to the context of its conversation, as its delivery does at the origin: at the end of the branch
/// that is shown, or in its place within, or as a branch that is shown from now on. A turn that is in it is not changed: turns
/// are identified by their id, never by the order in which they reached the origin. Returns false for a turn of which the
/// context shows nothing.
pub fn merge(context: &mut ConversationContext, turn: &TurnRecord) -> bool {
    let answer = turn.messages.answer();
    context.last_seq = context.last_seq.max(answer.seq);
    if context.messages.iter().any(|message| message.turn_id == turn.turn_id) {
        return true;
    }
    let is_head = context.head.follows(turn.turn_id, turn.head_before);
    let Some(at) = place(context, turn, is_head) else { return false };
    let added = || turn.messages.iter().cloned();
    match at {
        Place::Between(at) => {
            context.messages.splice(at..at, added());
        }
        Place::End(kept) => {
            context.messages.truncate(kept);
            context.messages.extend(added());
            context.head = context.head.moved_by_turn(turn.turn_id, answer.id);
            context.children.clear();
        }
    }
    context.messages = newest(std::mem::take(&mut context.messages));
    true
}

/// Returns the message that a turn follows which makes the branch of that message the shown one, when the context does not show
/// it: the turn is merged once the path to that message is known ([`super::place::show_path`]).
pub fn missing_parent(context: &ConversationContext, turn: &TurnRecord) -> Option<Id> {
    let parent_id = turn.messages.parent_id()?;
    let is_known = context.messages.iter().any(|message| {
        message.turn_id == turn.turn_id
            || message.id == parent_id
            || message.parent_id == Some(turn.messages.answer().id)
    });
    let is_aside = turn.head_before != Some(parent_id) && context.head.message_id != Some(parent_id);
    let is_head = context.head.follows(turn.turn_id, turn.head_before);
    (is_head && is_aside && !is_known).then_some(parent_id)
}

/// The place of a turn in a context.
enum Place {
    /// Before the message at this index.
    Between(usize),
    /// After so many messages, as the end of the branch that is shown.
    End(usize),
}

fn place(context: &ConversationContext, turn: &TurnRecord, is_head: bool) -> Option<Place> {
    let (first, answer) = (turn.messages.first(), turn.messages.answer());
    let messages = &context.messages;
    let parent_id = first.parent_id;
    if context.head.message_id == parent_id {
        return Some(Place::End(messages.len()));
    }
    // The message that continues from this turn's end.
    if let Some(at) = messages.iter().position(|message| message.parent_id == Some(answer.id)) {
        return Some(Place::Between(at));
    }
    let is_loose = |at: usize| {
        let previous = at.checked_sub(1).and_then(|before| messages.get(before)).map(|message| message.id);
        messages.get(at).is_some_and(|next| next.parent_id != previous && next.seq > answer.seq)
    };
    let parent_at = messages.iter().position(|message| Some(message.id) == parent_id);
    let after_parent = match parent_id {
        None => Some(0),
        Some(_) => parent_at.map(|at| at + 1),
    };
    if let Some(at) = after_parent {
        let is_sibling = messages.get(at).is_some_and(|next| next.parent_id == parent_id);
        if !is_sibling && is_loose(at) {
            return Some(Place::Between(at));
        }
        return is_head.then_some(Place::End(at));
    }
    // Its parent is absent: it belongs to a turn that could not be read, or to one that is older than this context; or it is of
    // another branch, where the turn was asked for.
    if is_head {
        return (turn.head_before == parent_id).then_some(Place::End(messages.len()));
    }
    let at = messages.iter().position(|message| message.seq > first.seq)?;
    is_loose(at).then_some(Place::Between(at))
}

/// A context as stored in a row of the user object's database, with every text once.
#[derive(Serialize, Deserialize)]
struct ContextRow {
    id: Id,
    model: Option<String>,
    system: Option<String>,
    last_seq: u64,
    head: Head,
    children: Vec<Id>,
    messages: Vec<CompactMessage>,
}

/// Encodes a context for storage; `None` when it is too large for a row. It is then fetched again when it is needed.
pub fn to_row(context: &ConversationContext) -> Option<String> {
    let ConversationContext { conversation_id, model, system, last_seq, head, children, messages } =
        context.clone();
    let messages = messages.into_iter().map(CompactMessage).collect();
    let row = ContextRow { id: conversation_id, model, system, last_seq, head, children, messages };
    serde_json::to_string(&row).ok().filter(|json| json.len() <= MAX_ROW_BYTES)
}

/// Decodes a row of [`to_row`]; `None` when it is of another version.
pub fn from_row(json: &str) -> Option<ConversationContext> {
    let ContextRow { id, model, system, last_seq, head, children, messages } =
        serde_json::from_str(json).ok()?;
    let messages = messages.into_iter().map(|message| message.0).collect();
    Some(ConversationContext { conversation_id: id, model, system, last_seq, head, children, messages })
}

/// Returns the messages that were answered or wait for their answer: a question that the provider refused, that got no text, or
/// whose answer the provider's filter stopped, is left out with that answer. It would be refused again with every later message,
/// and a user who repeats it would have it in the prompt twice.
fn answered(messages: &[Message]) -> impl DoubleEndedIterator<Item = &Message> {
    let unanswered: Vec<Id> =
        messages.iter().filter(|message| is_no_answer(message)).map(|m| m.turn_id).collect();
    let is_answered = |message: &Message| !unanswered.contains(&message.turn_id);
    let next = messages.iter().skip(1).map(Some).chain([None]);
    let kept = messages.iter().zip(next).filter(|(message, next)| {
        // A turn that answers a message again has the answer alone.
        let is_repeated = message.role == Role::User && next.is_some_and(|next| !is_answered(next));
        is_answered(message) && !is_repeated
    });
    kept.map(|(message, _)| message).collect::<Vec<_>>().into_iter()
}

/// Returns true for an answer that the provider blocked, and for that of a turn that ended without text. A question that its user cancelled, or whose answer a
/// restart interrupted, stays in the prompt.
fn is_no_answer(message: &Message) -> bool {
    let ended = matches!(message.status, TurnStatus::Failed | TurnStatus::Incomplete);
    let is_empty = message.content.is_empty() && message.tool_calls.is_empty();
    message.role == Role::Assistant && ended && (is_empty || message.is_blocked())
}

/// Returns the messages of a prompt: the newest of the history that fit `budget_tokens` with the new message, then the new
/// message.
///
/// A question without an answer is left out; neighbours of one role are allowed, the wire format merges them. The first
/// message is always the user's. The new message is sent even when it alone is over the budget: the provider decides.
pub fn prompt(history: &[Message], new: &[Part], budget_tokens: usize) -> Vec<ChatMessage> {
    let mut left = budget_tokens.saturating_sub(tokens(new));
    let mut picked: Vec<&Message> = Vec::new();
    for message in answered(history).rev().filter(|message| !message.parts.is_empty()) {
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
                Role::Tool | Role::Unknown(_) => return None,
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
mod tests;
