//! The tree of a conversation's messages: the place of a message, the messages that are shown, and the head.
//!
//! Stores keep the tree as *branches*. The trunk begins with the conversation; any other branch begins with a message whose
//! parent has a child in its own branch already, and has that message's id. Within a branch messages stand by `seq`, so a
//! conversation without forks is one branch in the order of arrival. A path from a message to the beginning is a few
//! [`Span`]s: that branch up to the message, then the branch it came from up to the message it came from, and so on. Each branch
//! knows where it came from and one branch further down (the jump pointers of skew-binary numbers, E. W. Myers, "An
//! applicative random-access stack", 1983), so that the span at any place is found in a logarithmic number of steps.
//!
//! A message may arrive before its parent: the outbox skips a turn that the origin refused. It then stands at its `seq` in
//! the branch that is shown, and its parent, when it arrives, before it. Another child of that parent begins a branch right
//! before the first.
//!
//! Nothing here reads a store. A function that lacks a [`Fork`] fails with its branch; the caller loads it and calls again.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    api::{
        internal::{Head, TurnDelivery},
        page::Order,
    },
    id::{Id, RANDOM_BYTES},
    time::Timestamp,
};

/// Spans that [`spans`] returns at once: most paths have fewer, and those of a page need one look-up each.
pub const SPANS_AT_ONCE: usize = 8;

/// A place in the tree: a branch, by the id of its first message (`None` is the trunk), up to a `seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The branch.
    pub branch: Option<Id>,
    /// The `seq`; 0 is before every message.
    pub seq: u64,
}

/// The beginning of a branch other than the trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The branch.
    pub branch: Id,
    /// The `seq` of its first message; all others of the branch have higher ones.
    pub first_seq: u64,
    /// The place of the message before its first one: the path goes down through the messages up to there.
    pub from: Position,
    /// The number of forks from the trunk to it, itself included.
    pub level: u32,
    /// A branch further down the path; `None` is the trunk.
    pub jump: Option<Jump>,
}

/// A branch further down, as another one knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// The branch.
    pub branch: Id,
    /// The `seq` of its first message.
    pub first_seq: u64,
    /// Its level.
    pub level: u32,
}

/// The forks that were loaded, by their branch.
pub type Forks = HashMap<Id, Fork>;

/// A run of messages on a path: those of one branch within these bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The branch.
    pub branch: Option<Id>,
    /// Every message has a higher `seq` than this.
    pub after: u64,
    /// No message has a higher `seq` than this.
    pub to: u64,
}

/// Runs of messages in the order of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    /// At most [`SPANS_AT_ONCE`] + 1 of them.
    pub items: Vec<Span>,
    /// The place in the page's order after which the next ones begin; `None` when there are no more.
    pub next_after: Option<u64>,
}

impl Fork {
    /// Returns the fork of a new branch.
    ///
    /// # Errors
    /// Fails with a branch whose fork is needed and is not among `forks`.
    pub fn new(branch: Id, first_seq: u64, from: Position, forks: &Forks) -> Result<Self, Id> {
        let Some(parent) = from.branch else {
            return Ok(Self { branch, first_seq, from, level: 1, jump: None });
        };
        let parent = get(forks, parent)?;
        let level_of = |jump: Option<Jump>| jump.map_or(0, |jump| jump.level);
        let further = match parent.jump {
            None => None,
            Some(jump) => get(forks, jump.branch)?.jump,
        };
        let near = parent.level.saturating_sub(level_of(parent.jump));
        let far = level_of(parent.jump).saturating_sub(level_of(further));
        let to_parent = Jump { branch: parent.branch, first_seq: parent.first_seq, level: parent.level };
        let jump = if near == far { further } else { Some(to_parent) };
        Ok(Self { branch, first_seq, from, level: parent.level.saturating_add(1), jump })
    }
}

/// Returns the next spans of the path to `head`, in this order, of messages that come after this `seq` in that order.
///
/// # Errors
/// Fails with a branch whose fork is needed and is not among `forks`.
pub fn spans(head: Position, order: Order, after: Option<u64>, forks: &Forks) -> Result<Spans, Id> {
    match order {
        Order::Asc => spans_up(head, after.unwrap_or(0), forks),
        Order::Desc => spans_down(head, after.unwrap_or(u64::MAX), forks),
    }
}

/// Returns whether the path to `head` passes this place of a message.
///
/// # Errors
/// Fails with a branch whose fork is needed and is not among `forks`.
pub fn passes(head: Position, place: Position, forks: &Forks) -> Result<bool, Id> {
    let at = descend(head, forks, |first_seq, _| first_seq > place.seq)?;
    Ok(at.branch == place.branch && at.seq >= place.seq)
}

/// The spans of messages before this `seq`, the highest first.
fn spans_down(head: Position, before: u64, forks: &Forks) -> Result<Spans, Id> {
    let mut at = descend(head, forks, |first_seq, _| first_seq >= before)?;
    let mut items = Vec::new();
    loop {
        let to = at.seq.min(before.saturating_sub(1));
        let (after, from) = match at.branch {
            None => (0, None),
            Some(branch) => {
                let fork = get(forks, branch)?;
                (fork.first_seq.saturating_sub(1), Some(fork.from))
            }
        };
        if to > after {
            items.push(Span { branch: at.branch, after, to });
        }
        match from {
            None => return Ok(Spans { items, next_after: None }),
            Some(_) if items.len() >= SPANS_AT_ONCE => {
                return Ok(Spans { items, next_after: Some(after.saturating_add(1)) });
            }
            Some(from) => at = from,
        }
    }
}

/// The spans of messages after this `seq`, the lowest first.
fn spans_up(head: Position, after: u64, forks: &Forks) -> Result<Spans, Id> {
    let lowest = descend(head, forks, |first_seq, _| first_seq > after)?;
    let levels = u32::try_from(SPANS_AT_ONCE).unwrap_or(u32::MAX);
    let highest = level(lowest, forks)?.saturating_add(levels);
    let top = descend(head, forks, |_, level| level > highest)?;
    let mut items = Vec::new();
    let mut at = top;
    loop {
        let (before_first, from) = match at.branch {
            None => (0, None),
            Some(branch) => {
                let fork = get(forks, branch)?;
                (fork.first_seq.saturating_sub(1), Some(fork.from))
            }
        };
        let after = after.max(before_first);
        if at.seq > after {
            items.push(Span { branch: at.branch, after, to: at.seq });
        }
        match from {
            Some(from) if at.branch != lowest.branch => at = from,
            _ => break,
        }
    }
    items.reverse();
    let next_after = if top.branch == head.branch { None } else { Some(top.seq) };
    Ok(Spans { items, next_after })
}

/// Goes down the path from a place as long as its branch, given by the `seq` of its first message and its level, is beyond
/// the target. Neither grows on the way.
fn descend(from: Position, forks: &Forks, is_beyond: impl Fn(u64, u32) -> bool) -> Result<Position, Id> {
    let mut at = from;
    while let Some(branch) = at.branch {
        let fork = get(forks, branch)?;
        if !is_beyond(fork.first_seq, fork.level) {
            break;
        }
        at = match fork.jump {
            // The end of the path within it does not matter: it is left at once.
            Some(jump) if is_beyond(jump.first_seq, jump.level) => {
                Position { branch: Some(jump.branch), seq: 0 }
            }
            _ => fork.from,
        };
    }
    Ok(at)
}

fn level(at: Position, forks: &Forks) -> Result<u32, Id> {
    at.branch.map_or(Ok(0), |branch| get(forks, branch).map(|fork| fork.level))
}

fn get(forks: &Forks, branch: Id) -> Result<Fork, Id> {
    forks.get(&branch).copied().ok_or(branch)
}

/// The messages around the place that a new message would take in a branch: after its parent, or, when that is not known, at
/// its `seq` in the branch that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// The message before that place.
    pub previous: Option<Id>,
    /// The message after it: its `seq` and its parent.
    pub next: Option<(u64, Option<Id>)>,
    /// True when no message of the conversation has the `seq` that the new one requests.
    pub is_free: bool,
}

/// The way in which a message joins the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// At the end of the branch: at the `seq` it requests, or at the first one after all where that is taken.
    Append,
    /// Within the branch, at the `seq` it requests.
    Insert,
    /// As the first message of a new branch; at the `seq` it requests, or at the first one after all.
    Fork,
}

/// Returns how a message joins the tree that requests this `seq`, which is higher than its parent's.
pub fn join(parent_id: Option<Id>, is_parent_known: bool, seq: u64, around: Neighbours) -> Joint {
    let Some((next_seq, parent_of_next)) = around.next else { return Joint::Append };
    let fits = around.is_free && seq < next_seq;
    // The next one waits for an absent parent: this message, or one after it.
    let is_loose = parent_of_next != around.previous;
    match (is_parent_known, fits && is_loose) {
        (true, true) if parent_of_next != parent_id => Joint::Insert,
        (true, _) => Joint::Fork,
        (false, true) => Joint::Insert,
        (false, false) => Joint::Append,
    }
}

impl Head {
    /// Returns true when a turn makes its last message the head: when it began after the turn or choice that set the head, or
    /// when the head is still the one at its start. The second applies to a turn's first delivery only, so that a repetition does
    /// not move a head that the user has set meanwhile.
    ///
    /// So the newest intention wins in any order of delivery: a turn that arrives late moves no head away from a newer turn, nor
    /// from a branch that the user chose after it began.
    pub fn follows(&self, turn_id: Id, head_before: Option<Id>) -> bool {
        let is_newest = self.mark.is_none_or(|mark| mark < turn_id);
        is_newest || (self.message_id == head_before && self.turn_id != Some(turn_id))
    }

    /// Returns the head after the delivery of a turn.
    #[must_use]
    pub fn after(self, delivery: &TurnDelivery) -> Self {
        let TurnDelivery { turn_id, head_before, head_id, .. } = *delivery;
        if !self.follows(turn_id, head_before) {
            return self;
        }
        self.moved_by_turn(turn_id, head_id)
    }

    /// Returns the head that a turn makes.
    #[must_use]
    pub fn moved_by_turn(self, turn_id: Id, message_id: Id) -> Self {
        Self { message_id: Some(message_id), mark: self.mark.max(Some(turn_id)), turn_id: Some(turn_id) }
    }

    /// Returns the head that the user chooses now.
    #[must_use]
    pub fn moved_by_user(self, now: Timestamp, message_id: Id) -> Self {
        self.moved_by_deletion(now, Some(message_id))
    }

    /// Returns the head that is left when the user deletes the one before now: a choice of theirs.
    #[must_use]
    pub fn moved_by_deletion(self, now: Timestamp, message_id: Option<Id>) -> Self {
        Self { message_id, mark: self.mark.max(Some(user_mark(now))), ..self }
    }
}

/// The mark of a choice that the user makes now: after the turns that began in this millisecond.
pub fn user_mark(now: Timestamp) -> Id {
    Id::new(now, [0xff; RANDOM_BYTES])
}

#[cfg(test)]
mod tests;
