//! The deletion of a message: the update of its conversation by which it is deleted. [`cuts`] completes it.

use mongodb::bson::{Bson, doc};
use shared::{
    api::chat::Message,
    chat::tree::{Forks, Position, passes},
    id::Id,
    time::Timestamp,
};

use super::{
    conversations::{self, ATTEMPTS, Here, Presence},
    cuts, messages, tree,
};
use crate::store::{
    chats::{
        PageBuilder,
        deletions::{BRANCH_END, deletion_mark, preview_of},
    },
    mongo::{
        document::{Fields, date, uuid},
        engine::Db,
        fault::Attempt,
        queries::{self, MESSAGES},
    },
};

/// Deletes a message of the user's with everything below it. One that is deleted already may be so because of a first attempt whose
/// response was lost; then it counts as deleted now.
pub(super) async fn delete(
    db: &Db,
    user_id: Id,
    conversation_id: Id,
    message_id: Id,
    now: Timestamp,
    is_repeated: bool,
) -> Attempt<bool> {
    for _ in 0..ATTEMPTS {
        let found = conversations::presence(db, user_id, conversation_id).await?;
        let Presence::Here(here) = found else { return Ok(false) };
        let there = queries::MESSAGE_OF.of([uuid(message_id), uuid(conversation_id)]);
        let Some(document) = db.find_fields(there, 1, &["parent_id", "branch_id", "seq"]).await?.pop() else {
            let known = queries::DELETED_MESSAGE.of([uuid(message_id)]);
            return Ok(is_repeated && db.find_one(known).await?.is_some());
        };
        let fields = Fields::of(MESSAGES, &document);
        let place = Position { branch: fields.optional_id("branch_id")?, seq: fields.count("seq")? };
        let doomed =
            Doomed { conversation_id, message_id, place, parent_id: fields.optional_id("parent_id")? };
        if cut(db, &here, &doomed, now).await? {
            cuts::complete(db, conversation_id, message_id).await?;
            return Ok(true);
        }
    }
    Err(conversations::too_many_writers().into())
}

struct Doomed {
    conversation_id: Id,
    message_id: Id,
    parent_id: Option<Id>,
    place: Position,
}

/// Updates the conversation, unless it has changed.
async fn cut(db: &Db, here: &Here, doomed: &Doomed, now: Timestamp) -> Attempt<bool> {
    let (shown, mut forks) = (here.shown, Forks::new());
    let is_shown =
        tree::with_forks(db, &mut forks, |forks| passes(shown.position, doomed.place, forks)).await?;
    let end = if is_shown { end_without(db, doomed).await? } else { shown.position };
    let newest = newest_of_path(db, doomed.conversation_id, end).await?;
    let deleted_at = deletion_mark(now, here.messages_deleted_at);
    let mut changed = doc! {
        "unlogged": true,
        "cutting": uuid(doomed.message_id),
        "messages_deleted_at": date(deleted_at),
        "last_message_preview": preview_of(&newest).map_or(Bson::Null, Bson::String),
    };
    if is_shown {
        let last = newest.first().map(|last| last.id);
        let position = match last {
            None => Position::default(),
            Some(last) => tree::position(db, doomed.conversation_id, last).await?.unwrap_or(end),
        };
        changed.extend(conversations::head_fields(shown.head.moved_by_deletion(now, last), position));
    }
    let unchanged = conversations::at_revision(doomed.conversation_id, here);
    let latest = doc! { "updated_at": date(deleted_at) };
    let update = doc! { "$set": changed, "$max": latest, "$inc": { "rev": 1_i64 } };
    Ok(db.update(unchanged, update).await?.is_some())
}

/// Finds the end of the branch that is shown instead of one without its rest: that of the newest sibling, or the place before.
async fn end_without(db: &Db, doomed: &Doomed) -> Attempt<Position> {
    let siblings = messages::children(db, doomed.conversation_id, doomed.parent_id).await?;
    let newest = siblings.iter().rev().find(|id| **id != doomed.message_id);
    let newest = match newest {
        Some(newest) => tree::position(db, doomed.conversation_id, *newest).await?,
        None => None,
    };
    Ok(match newest {
        Some(newest) => Position { branch: newest.branch, seq: u64::MAX },
        None => Position { branch: doomed.place.branch, seq: doomed.place.seq.saturating_sub(1) },
    })
}

/// Reads the last messages of the path to a place, newest first.
async fn newest_of_path(db: &Db, conversation_id: Id, end: Position) -> Attempt<Vec<Message>> {
    let mut builder = PageBuilder::of(BRANCH_END);
    messages::fill_path(db, conversation_id, end, &mut builder).await?;
    Ok(builder.into_messages().items)
}
