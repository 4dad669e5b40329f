//! The place of a turn in its conversation: at the end of the branch that is shown, or at a message that its request names.
//!
//! A path to that message is cut from the cached context where the message is shown, else it is the origin's. Turns of the
//! user object that the origin does not have are added, so that an answer which was just given is a place, too.

use serde::{Deserialize, Serialize};

use super::{context, record::TurnRecord};
use crate::{
    api::{
        chat::{Message, Part, Role, TurnKind, TurnStatus},
        error::{ApiError, ErrorCode},
        internal::ConversationContext,
    },
    id::Id,
};

/// The instruction that ends the prompt of a turn that goes on with an answer. It is not stored.
pub const CONTINUE: &str = "Continue your previous answer exactly where it stopped, in the middle of a sentence or a word if need \
                            be. Do not repeat any of it, and add no introduction or comment.";

/// The message that a turn is about, by the kind of the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "message_id", rename_all = "snake_case")]
pub enum Target {
    /// None: a new message at the end of the branch that is shown.
    Reply,
    /// Another answer beside this one, or to this message of the user's.
    Regenerate(Id),
    /// A new message beside this one of the user's, and its answer.
    Edit(Id),
    /// The rest of this answer.
    Continue(Id),
}

impl Target {
    /// Returns the kind of the turn.
    pub const fn kind(self) -> TurnKind {
        match self {
            Self::Reply => TurnKind::Reply,
            Self::Regenerate(_) => TurnKind::Regenerate,
            Self::Edit(_) => TurnKind::Edit,
            Self::Continue(_) => TurnKind::Continue,
        }
    }

    /// Returns the message.
    pub const fn message_id(self) -> Option<Id> {
        match self {
            Self::Reply => None,
            Self::Regenerate(id) | Self::Edit(id) | Self::Continue(id) => Some(id),
        }
    }

    /// Returns whether the turn adds a message of the user's.
    pub const fn has_question(self) -> bool {
        matches!(self, Self::Reply | Self::Edit(_))
    }
}

/// The path from the beginning of a conversation to a message, as far as a context goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path {
    /// Its messages, oldest first, that one last.
    pub messages: Vec<Message>,
    /// The messages that follow that one already, in order.
    pub children: Vec<Id>,
}

impl From<ConversationContext> for Path {
    fn from(context: ConversationContext) -> Self {
        Self { messages: context.messages, children: context.children }
    }
}

/// The way to the path of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// The path is known.
    Known(Path),
    /// The origin has it, up to a message.
    Fetch {
        /// That message.
        at: Id,
        /// The rest of the path.
        end: OwnEnd,
        /// What is known of it, for when the origin cannot be reached.
        known: Option<Path>,
    },
}

/// The end of a path that is not at the origin yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnEnd {
    /// Its messages, oldest first.
    pub messages: Vec<Message>,
    /// The message before them; none at the beginning of the conversation.
    after: Option<Id>,
}

/// Returns the way to the path of a message: `own` are the turns that the origin does not have. `is_asked` when that message is to
/// be answered, and therefore needs its pictures.
pub fn plan(context: &ConversationContext, own: &[TurnRecord], to: Id, is_asked: bool) -> Plan {
    let end = own_end(own, to);
    let Some(at) = end.after else { return Plan::Known(Path::default().extended(end, own)) };
    let is_asked = is_asked && end.messages.is_empty();
    let known =
        cut(context, at).filter(|path| !is_asked || path.messages.last().is_some_and(has_all_pictures));
    match known {
        Some(path) if is_enough(&path, context) => Plan::Known(path.extended(end, own)),
        known => Plan::Fetch { at, known: known.map(|path| path.extended(end.clone(), own)), end },
    }
}

/// Returns the end of the path to a message that these turns have: none of it when the message is none of theirs.
fn own_end(own: &[TurnRecord], to: Id) -> OwnEnd {
    let mut end = OwnEnd { messages: Vec::new(), after: Some(to) };
    let count: usize = own.iter().map(|turn| turn.messages.len()).sum();
    while let Some(message) = end.after.and_then(|id| find(own, id)) {
        // In a circle, which none of our turns makes, there is no beginning.
        if end.messages.len() == count {
            break;
        }
        end.messages.push(message.clone());
        end.after = message.parent_id;
    }
    end.messages.reverse();
    end
}

fn find(own: &[TurnRecord], id: Id) -> Option<&Message> {
    own.iter().flat_map(|turn| turn.messages.iter()).find(|message| message.id == id)
}

/// Returns the path to a message of the branch that a context shows.
fn cut(context: &ConversationContext, to: Id) -> Option<Path> {
    let at = context.messages.iter().position(|message| message.id == to)?;
    let children = match context.messages.get(at + 1) {
        None => context.children.clone(),
        Some(next) if next.parent_id == Some(to) => next.siblings.clone(),
        Some(_) => Vec::new(),
    };
    Some(Path { messages: context.messages.get(..=at)?.to_vec(), children })
}

/// Returns whether a path that was cut from a context has enough of the conversation: all of it, or not less than was cut off.
/// Else the origin has more.
fn is_enough(path: &Path, context: &ConversationContext) -> bool {
    let is_whole = path.messages.first().is_some_and(|first| first.parent_id.is_none());
    is_whole || 2 * path.messages.len() >= context.messages.len()
}

fn has_all_pictures(message: &Message) -> bool {
    !message.parts.iter().any(|part| matches!(part, Part::Image { data: None, file_id: None, .. }))
}

impl Path {
    /// Returns the path with its end, and with what of these turns follows it.
    #[must_use]
    pub fn extended(mut self, end: OwnEnd, own: &[TurnRecord]) -> Self {
        if !end.messages.is_empty() {
            self.messages.extend(end.messages);
            self.children.clear();
        }
        self.children = with_own(self.children, self.messages.last().map(|last| last.id), own);
        self
    }

    /// Returns the message that the last answer of the path is to.
    pub fn question(&self) -> Option<&Message> {
        self.messages.iter().rfind(|message| message.role == Role::User)
    }

    /// Returns whether the question still has its pictures.
    pub fn has_whole_question(&self) -> bool {
        self.question().is_none_or(has_all_pictures)
    }
}

/// Adds the messages of these turns that follow a message.
fn with_own(mut children: Vec<Id>, parent_id: Option<Id>, own: &[TurnRecord]) -> Vec<Id> {
    for message in own.iter().flat_map(|turn| turn.messages.iter()) {
        if message.parent_id == parent_id && !children.contains(&message.id) {
            children.push(message.id);
        }
    }
    children
}

/// The base of a turn at a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    /// The message that the first one of the turn follows.
    pub parent_id: Option<Id>,
    /// The messages that follow that one already.
    pub siblings: Vec<Id>,
    /// The path to that message.
    pub path: Vec<Message>,
    /// The messages of the prompt, but for the last one.
    history: usize,
    /// The last message of the prompt.
    pub question: Vec<Part>,
}

impl Base {
    /// Returns the messages of the prompt, but for the last one.
    pub fn history(&self) -> &[Message] {
        self.path.get(..self.history).unwrap_or_default()
    }
}

/// Returns the base of a turn about the last message of this path, with the words of its request.
///
/// # Errors
/// Fails with [`ErrorCode::Conflict`] when the message is none that a turn of this kind can be about.
pub fn base(target: Target, path: Path, parts: &[Part], own: &[TurnRecord]) -> Result<Base, ApiError> {
    let last = path.messages.last().ok_or(ErrorCode::NotFound)?;
    match target {
        Target::Reply => Ok(following(last.id, path, parts.to_vec())),
        Target::Continue(_) => {
            check_continuable(last)?;
            Ok(following(last.id, path, vec![Part::Text { text: CONTINUE.to_owned() }]))
        }
        Target::Edit(_) => edited(path, parts, own),
        Target::Regenerate(_) => answered_again(path, own),
    }
}

fn following(last: Id, path: Path, question: Vec<Part>) -> Base {
    let history = path.messages.len();
    Base { parent_id: Some(last), siblings: path.children, path: path.messages, history, question }
}

/// Checks that an answer has an end to go on from.
fn check_continuable(message: &Message) -> Result<(), ApiError> {
    let conflict = |detail| Err(ApiError::new(ErrorCode::Conflict, detail));
    if message.role != Role::Assistant {
        return conflict("Only an answer can be continued");
    }
    if !matches!(message.status, TurnStatus::Incomplete | TurnStatus::Cancelled | TurnStatus::Interrupted) {
        return conflict("The answer has come to its end: there is nothing to continue");
    }
    if message.content.is_empty() {
        return conflict("The answer has no words to continue from: ask for another one");
    }
    if !message.can_continue() {
        return conflict("The answer was stopped for what it says, or for its form: it cannot be continued");
    }
    Ok(())
}

fn edited(path: Path, parts: &[Part], own: &[TurnRecord]) -> Result<Base, ApiError> {
    let mut messages = path.messages;
    let last = messages.pop().ok_or(ErrorCode::NotFound)?;
    if last.role != Role::User {
        return Err(ApiError::new(ErrorCode::Conflict, "Only a message of the user's can be edited"));
    }
    let siblings = with_own(last.siblings, last.parent_id, own);
    let (parent_id, history) = (last.parent_id, messages.len());
    Ok(Base { parent_id, siblings, path: messages, history, question: parts.to_vec() })
}

fn answered_again(path: Path, own: &[TurnRecord]) -> Result<Base, ApiError> {
    let mut messages = path.messages;
    let at = messages.iter().rposition(|message| message.role == Role::User);
    let no_question = || ApiError::new(ErrorCode::Conflict, "The answer has no message that it is to");
    let history = at.ok_or_else(no_question)?;
    let known = messages.get(history + 1).map_or(path.children, |answer| answer.siblings.clone());
    messages.truncate(history + 1);
    let question = messages.last().ok_or_else(no_question)?;
    let siblings = with_own(known, Some(question.id), own);
    Ok(Base {
        parent_id: Some(question.id),
        siblings,
        question: question.parts.clone(),
        path: messages,
        history,
    })
}

/// Returns whether a context shows the path that a turn follows, and no less of it than the base has: the turn finds its place there
/// by itself ([`context::merge`]).
pub fn is_shown(context: &ConversationContext, base: &Base) -> bool {
    base.parent_id.is_none_or(|id| {
        let at = context.messages.iter().position(|message| message.id == id);
        at.is_some_and(|at| base.path.len() <= at + 1)
    })
}

/// Lets a context show this path: the next turn that is merged follows it.
pub fn show_path(context: &mut ConversationContext, path: Vec<Message>) {
    context.messages = context::newest(path);
    context.children.clear();
}

#[cfg(test)]
mod tests;
