//! Messages that are deleted with everything below them. Their ids stay known, so that no delivery brings one back.
//!
//! The deletion is one update of the conversation, which names the message (`cutting`). Whoever reads the conversation next for its
//! messages completes it: notes the ids of what is below, then removes turns and messages, those furthest below at first, so that
//! what is left after a crash can still be found from the message.

use std::collections::HashSet;

use mongodb::bson::{Bson, Document, doc};
use shared::{api::internal::TurnDelivery, chat::tree::Position, id::Id};

use super::tree;
use crate::store::mongo::{
    document::{Fields, count, uuid},
    engine::Db,
    fault::Attempt,
    queries::{self, DELETED_MESSAGES, MESSAGES, one_of},
};

/// The most ids of one operation.
const IDS_AT_ONCE: usize = 500;

/// A message that is to go.
struct Doomed {
    id: Id,
    parent_id: Option<Id>,
    turn_id: Id,
}

/// Completes the deletion of a message that its conversation names.
pub(super) async fn complete(db: &Db, conversation_id: Id, root: Id) -> Attempt<()> {
    remove(db, conversation_id, root).await?;
    let named = queries::CUT.of([uuid(conversation_id), uuid(root)]);
    db.update_all(named, doc! { "$unset": { "cutting": "" } }).await
}

/// Drops a turn that follows a deleted message, or that has one: its messages from there on are deleted, too, where they are
/// stored. Returns false when it is no such turn.
pub(super) async fn drop_turn(db: &Db, delivery: &TurnDelivery) -> Attempt<bool> {
    let parent = delivery.messages.parent_id();
    let chain: Vec<_> =
        parent.into_iter().chain(delivery.messages.iter().map(|message| message.id)).collect();
    let limit = u32::try_from(chain.len()).unwrap_or(u32::MAX);
    let known = queries::DELETED_MESSAGE.of([one_of(chain.iter().copied().map(uuid))]);
    let known = db.find_fields(known, limit, &["_id"]).await?;
    let known = known.iter().map(|document| Fields::of(DELETED_MESSAGES, document).id("_id"));
    let known = known.collect::<Attempt<HashSet<_>>>()?;
    let is_kept = |id: &&Id| !known.contains(*id);
    let kept = chain.iter().take_while(is_kept).count();
    if kept == chain.len() {
        return Ok(false);
    }
    let dropped: Vec<_> = chain.into_iter().skip(kept).filter(|id| Some(*id) != parent).collect();
    note(db, delivery.conversation_id, &dropped).await?;
    db.delete_all(queries::ANY_TURN.of([uuid(delivery.turn_id)])).await?;
    let mut is_changed = false;
    for id in dropped {
        is_changed |= remove(db, delivery.conversation_id, id).await?;
    }
    if is_changed {
        let conversation = queries::ANY_CONVERSATION.of([uuid(delivery.conversation_id)]);
        db.update_all(conversation, doc! { "$inc": { "rev": 1_i64 } }).await?;
    }
    Ok(true)
}

/// Removes a message and what is below it. Returns whether it was there.
async fn remove(db: &Db, conversation_id: Id, root: Id) -> Attempt<bool> {
    let Some(place) = tree::position(db, conversation_id, root).await? else { return Ok(false) };
    let runs = below(db, conversation_id, root, place).await?;
    let all: Vec<_> = runs.iter().flatten().collect();
    note(db, conversation_id, &all.iter().map(|message| message.id).collect::<Vec<_>>()).await?;
    let turns: HashSet<_> = all.iter().map(|message| message.turn_id).collect();
    let turns: Vec<_> = turns.into_iter().map(uuid).collect();
    for turns in turns.chunks(IDS_AT_ONCE) {
        db.delete_all(queries::ANY_TURN.of([one_of(turns.iter().cloned())])).await?;
    }
    for run in runs.iter().rev() {
        let others: Vec<_> =
            run.iter().map(|message| message.id).filter(|id| *id != root).map(uuid).collect();
        for ids in others.chunks(IDS_AT_ONCE) {
            db.delete_all(queries::MESSAGE.of([one_of(ids.iter().cloned())])).await?;
        }
    }
    db.delete_all(queries::MESSAGE.of([uuid(root)])).await?;
    Ok(true)
}

/// Finds a message and those below it: the rest of its branch, then the branches that begin there, each after the one that it
/// begins in.
async fn below(db: &Db, conversation_id: Id, root: Id, place: Position) -> Attempt<Vec<Vec<Doomed>>> {
    let first = run(db, conversation_id, Position { seq: place.seq.saturating_sub(1), ..place }).await?;
    let (mut runs, mut branches, mut next) = (vec![first], HashSet::from([place.branch]), 0);
    while let Some(found) = runs.get(next) {
        next += 1;
        // A branch begins after a message of the run, or beside one whose parent is absent.
        let parents =
            found.iter().filter(|message| message.id != root).filter_map(|message| message.parent_id);
        let parents: HashSet<_> = found.iter().map(|message| message.id).chain(parents).collect();
        let parents: Vec<_> = parents.into_iter().map(uuid).collect();
        for parents in parents.chunks(IDS_AT_ONCE) {
            let any = one_of(parents.iter().cloned());
            let children = queries::CHILDREN.of([uuid(conversation_id), any]);
            for document in db.find_fields(children, u32::MAX, &["branch_id"]).await? {
                let fields = Fields::of(MESSAGES, &document);
                let branch = fields.optional_id("branch_id")?;
                if branch == Some(fields.id("_id")?) && branches.insert(branch) {
                    runs.push(run(db, conversation_id, Position { branch, seq: 0 }).await?);
                }
            }
        }
    }
    Ok(runs)
}

/// Finds the messages of a branch after a place.
async fn run(db: &Db, conversation_id: Id, after: Position) -> Attempt<Vec<Doomed>> {
    let branch = after.branch.map_or(Bson::Null, uuid);
    let rest = queries::BRANCH.of([uuid(conversation_id), branch]).after(count(after.seq));
    let read = |document: &Document| {
        let fields = Fields::of(MESSAGES, document);
        let (id, turn_id) = (fields.id("_id")?, fields.id("turn_id")?);
        Ok(Doomed { id, turn_id, parent_id: fields.optional_id("parent_id")? })
    };
    db.find_fields(rest, u32::MAX, &["parent_id", "turn_id"]).await?.iter().map(read).collect()
}

/// Notes ids of messages as deleted.
async fn note(db: &Db, conversation_id: Id, ids: &[Id]) -> Attempt<()> {
    let documents = ids.iter().map(|id| doc! { "_id": uuid(*id), "conversation_id": uuid(conversation_id) });
    let documents: Vec<_> = documents.collect();
    let mut rest = documents.as_slice();
    while !rest.is_empty() {
        // An insert stops at an id that was noted before.
        let inserted = db.insert(DELETED_MESSAGES, rest).await?;
        rest = rest.get(inserted.saturating_add(1)..).unwrap_or_default();
    }
    Ok(())
}
