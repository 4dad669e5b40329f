//! Positions of messages in the tree of their conversation; `shared::chat::tree` has the rules. The unique indexes decide
//! which of two messages gets the same `seq`, and which of two follows the same one in its branch. The other one retries.

use mongodb::bson::{Bson, Document, doc};
use shared::{
    api::{
        chat::Message,
        internal::{MAX_SIBLINGS, TurnDelivery},
    },
    chat::tree::{self, Fork, Forks, Joint, Jump, Neighbours, Position},
    id::Id,
};

use super::messages;
use crate::store::{
    chats::Shown,
    error::StoreError,
    mongo::{
        document::{Fields, count, set, uuid},
        engine::Db,
        fault::Attempt,
        queries::{self, MESSAGES},
    },
};

/// The most attempts of a message to get a position. Each failure means that another message got it.
const ATTEMPTS: u32 = 100;

/// The result of inserting a turn's messages.
pub(super) struct Joined {
    /// The position of the last one.
    pub(super) last: Position,
    /// The messages that were new.
    pub(super) inserted: Vec<Id>,
    /// True when any is not simply the next one after all existing ones.
    pub(super) is_aside: bool,
}

/// The place of a message.
struct Place {
    position: Position,
    /// True when no message followed it in its branch.
    is_end: bool,
    /// True when it is the child of the one that had arrived before it.
    is_next: bool,
}

/// Inserts the messages of a turn. Existing ones keep their position.
pub(super) async fn insert(db: &Db, delivery: &TurnDelivery, shown: &Shown) -> Attempt<Joined> {
    let mut inserted = Vec::new();
    match insert_all(db, delivery, shown, &mut inserted).await {
        Ok((last, is_aside)) => Ok(Joined { last, inserted, is_aside }),
        Err(fault) => {
            messages::take_back_on_conflict(db, &fault, &inserted).await?;
            Err(fault)
        }
    }
}

async fn insert_all(
    db: &Db,
    delivery: &TurnDelivery,
    shown: &Shown,
    inserted: &mut Vec<Id>,
) -> Attempt<(Position, bool)> {
    let all: Vec<_> = delivery.messages.iter().collect();
    let is_next = shown.is_plain() && delivery.messages.parent_id() == shown.head.message_id;
    let is_repeated = shown.head.turn_id == Some(delivery.turn_id);
    let (mut rest, mut is_aside) = (all.as_slice(), false);
    // A message after the last one of a branch is inserted without a read.
    let (mut last, mut end) = (None, is_next.then_some(shown.position));
    loop {
        if let Some(position) = end {
            let (stand, count) = insert_after(db, position, rest).await?;
            inserted.extend(rest.iter().take(count).map(|message| message.id));
            rest = rest.get(count..).unwrap_or_default();
            last = if count > 0 { Some(stand) } else { last };
        }
        let Some((first, others)) = rest.split_first() else {
            return Ok((last.unwrap_or(shown.position), is_aside));
        };
        let (place, is_new) = insert_one(db, first, last, shown).await?;
        if is_new {
            inserted.push(first.id);
        }
        // An existing message was recorded, unless the attempt that inserted it ended before that.
        is_aside |= !(place.is_next || is_repeated || !is_new && is_next && place.position.branch.is_none());
        (last, rest) = (Some(place.position), others);
        end = place.is_end.then_some(place.position);
    }
}

/// Inserts consecutive messages after the last one of a branch, until one exists or its position is taken. Returns the position
/// of the last of them, and their number.
async fn insert_after(db: &Db, end: Position, chain: &[&Message]) -> Attempt<(Position, usize)> {
    let mut places = Vec::with_capacity(chain.len());
    let mut documents = Vec::with_capacity(chain.len());
    let mut at = end;
    for message in chain {
        at.seq = message.seq.max(at.seq.saturating_add(1));
        places.push(at);
        documents.push(messages::document(message, at, None)?);
    }
    if documents.is_empty() {
        return Ok((end, 0));
    }
    let count = db.insert(MESSAGES, &documents).await?;
    let last = count.checked_sub(1).and_then(|last| places.get(last));
    Ok((last.copied().unwrap_or(end), count))
}

/// Inserts a message; `last` is the position of the message before it in its turn. Returns its position, and true when it was
/// new.
async fn insert_one(
    db: &Db,
    message: &Message,
    last: Option<Position>,
    shown: &Shown,
) -> Attempt<(Place, bool)> {
    for _ in 0..ATTEMPTS {
        if let Some(position) = known(db, message).await? {
            return Ok((Place { position, is_end: false, is_next: false }, false));
        }
        let (place, fork) = find_place(db, message, last, shown).await?;
        let document = messages::document(message, place.position, fork.as_ref())?;
        if db.insert(MESSAGES, &[document]).await? == 1 {
            return Ok((place, true));
        }
    }
    Err(StoreError::Unavailable("a conversation has too many writers at once".to_owned()).into())
}

async fn find_place(
    db: &Db,
    message: &Message,
    last: Option<Position>,
    shown: &Shown,
) -> Attempt<(Place, Option<Fork>)> {
    let conversation_id = message.conversation_id;
    let parent = match (last, message.parent_id) {
        (Some(last), _) => Some(last),
        (None, None) => Some(Position::default()),
        (None, Some(parent)) => parent_position(db, conversation_id, parent).await?,
    };
    let branch = parent.unwrap_or(shown.position).branch;
    let wanted = message.seq.max(parent.map_or(0, |parent| parent.seq).saturating_add(1));
    let place = parent.map_or(wanted, |parent| parent.seq.saturating_add(1));
    let around = neighbours(db, message, parent.is_some(), Position { branch, seq: place }, wanted).await?;
    let joint = tree::join(message.parent_id, parent.is_some(), wanted, around);
    let is_at_wanted = around.is_free && (joint != Joint::Append || around.next.is_none());
    let seq = if is_at_wanted { wanted } else { highest(db, conversation_id).await?.saturating_add(1) };
    if let (Joint::Fork, Some(from)) = (joint, parent) {
        let fork = with_forks(db, &mut Forks::new(), |forks| Fork::new(message.id, seq, from, forks)).await?;
        let position = Position { branch: Some(message.id), seq };
        return Ok((Place { position, is_end: true, is_next: false }, Some(fork)));
    }
    let is_end = joint == Joint::Append;
    let is_next = is_end && parent.is_some() && branch.is_none();
    Ok((Place { position: Position { branch, seq }, is_end, is_next }, None))
}

/// Returns the position of a message of this conversation.
pub(super) async fn position(db: &Db, conversation_id: Id, id: Id) -> Attempt<Option<Position>> {
    let filter = queries::MESSAGE_OF.of([uuid(id), uuid(conversation_id)]);
    let found = db.find_fields(filter, 1, &["branch_id", "seq"]).await?.pop();
    found.map(|document| read_position(&Fields::of(MESSAGES, &document))).transpose()
}

/// Repeats `call` until it has every fork it needs.
pub(super) async fn with_forks<T>(
    db: &Db,
    forks: &mut Forks,
    call: impl Fn(&Forks) -> Result<T, Id>,
) -> Attempt<T> {
    loop {
        match call(forks) {
            Ok(value) => return Ok(value),
            Err(branch) => forks.insert(branch, fork(db, branch).await?),
        };
    }
}

/// Encodes the fork of a branch for the document of its first message.
pub(super) fn fork_document(fork: &Fork) -> Document {
    let mut document = doc! {
        "first_seq": count(fork.first_seq),
        "from_seq": count(fork.from.seq),
        "level": count(u64::from(fork.level)),
    };
    set(&mut document, "from_branch_id", fork.from.branch.map(uuid));
    set(&mut document, "jump_id", fork.jump.map(|jump| uuid(jump.branch)));
    set(&mut document, "jump_first_seq", fork.jump.map(|jump| count(jump.first_seq)));
    set(&mut document, "jump_level", fork.jump.map(|jump| count(u64::from(jump.level))));
    document
}

/// Returns the position of a message that was inserted before.
async fn known(db: &Db, message: &Message) -> Attempt<Option<Position>> {
    let filter = queries::MESSAGE.of([uuid(message.id)]);
    let found = db.find_fields(filter, 1, &["conversation_id", "branch_id", "seq"]).await?.pop();
    let Some(document) = found else { return Ok(None) };
    let fields = Fields::of(MESSAGES, &document);
    if fields.id("conversation_id")? != message.conversation_id {
        return Err(StoreError::Conflict("the message's id is one of another conversation").into());
    }
    read_position(&fields).map(Some)
}

/// Returns the position of a parent, or the one it would take before a child that arrived earlier.
async fn parent_position(db: &Db, conversation_id: Id, parent: Id) -> Attempt<Option<Position>> {
    if let Some(position) = position(db, conversation_id, parent).await? {
        return Ok(Some(position));
    }
    let children = queries::CHILDREN.of([uuid(conversation_id), uuid(parent)]);
    for document in db.find_fields(children, MAX_SIBLINGS, &["branch_id", "seq"]).await? {
        let fields = Fields::of(MESSAGES, &document);
        let position = read_position(&fields)?;
        // The position before a branch is in another one.
        if position.branch != Some(fields.id("_id")?) {
            return Ok(Some(Position { seq: position.seq.saturating_sub(1), ..position }));
        }
    }
    Ok(None)
}

async fn neighbours(
    db: &Db,
    message: &Message,
    is_parent_known: bool,
    place: Position,
    wanted: u64,
) -> Attempt<Neighbours> {
    let branch =
        || queries::BRANCH.of([uuid(message.conversation_id), place.branch.map_or(Bson::Null, uuid)]);
    let from = branch().after(count(place.seq.saturating_sub(1)));
    let next = match db.find_fields(from, 1, &["seq", "parent_id"]).await?.pop() {
        None => None,
        Some(document) => {
            let fields = Fields::of(MESSAGES, &document);
            Some((fields.count("seq")?, fields.optional_id("parent_id")?))
        }
    };
    let previous = if next.is_some() && !is_parent_known {
        let before = branch().descending().after(count(place.seq));
        let found = db.find_fields(before, 1, &["_id"]).await?.pop();
        found.map(|document| Fields::of(MESSAGES, &document).id("_id")).transpose()?
    } else {
        message.parent_id
    };
    let at = queries::MESSAGE_AT.of([uuid(message.conversation_id), count(wanted)]);
    let is_free = db.find_fields(at, 1, &["_id"]).await?.is_empty();
    Ok(Neighbours { previous, next, is_free })
}

async fn highest(db: &Db, conversation_id: Id) -> Attempt<u64> {
    let last = queries::MESSAGES_OF.of([uuid(conversation_id)]).descending();
    let found = db.find_fields(last, 1, &["seq"]).await?.pop();
    found.map_or(Ok(0), |document| Fields::of(MESSAGES, &document).count("seq"))
}

async fn fork(db: &Db, branch: Id) -> Attempt<Fork> {
    let found = db.find_fields(queries::MESSAGE.of([uuid(branch)]), 1, &["fork"]).await?.pop();
    let lost = || StoreError::Corrupt { table: MESSAGES, column: "fork", row: branch.to_string() };
    let document = found.ok_or_else(lost)?;
    let fields = Fields::of(MESSAGES, &document).optional_part("fork")?.ok_or_else(lost)?;
    let level = |field: &'static str| {
        let level = fields.optional_count(field)?.map(u32::try_from).transpose();
        level.map_err(|_| fields.corrupt(field))
    };
    let jump = match (
        fields.optional_id("jump_id")?,
        fields.optional_count("jump_first_seq")?,
        level("jump_level")?,
    ) {
        (None, None, None) => None,
        (Some(branch), Some(first_seq), Some(level)) => Some(Jump { branch, first_seq, level }),
        _ => return Err(fields.corrupt("jump_id")),
    };
    Ok(Fork {
        branch,
        first_seq: fields.count("first_seq")?,
        from: Position { branch: fields.optional_id("from_branch_id")?, seq: fields.count("from_seq")? },
        level: level("level")?.ok_or_else(|| fields.corrupt("level"))?,
        jump,
    })
}

fn read_position(fields: &Fields<'_>) -> Attempt<Position> {
    Ok(Position { branch: fields.optional_id("branch_id")?, seq: fields.count("seq")? })
}
