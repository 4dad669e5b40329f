//! Deletions of conversations: those that can be undone, those for good, and moves to another user.
//!
//! A deleted conversation has the time of its deletion, until it is purged: then it stays as a tombstone without one, whose
//! messages and turns are removed, so that nobody can open another conversation of that id.

use mongodb::bson::{Bson, Document, doc};
use shared::{api::chat::Conversation, id::Id, time::Timestamp};

use super::conversations::{self, Presence};
use crate::store::{
    chats::DeletedPage,
    mongo::{
        document::{Fields, date, uuid},
        engine::Db,
        fault::Attempt,
        queries::{self, CONVERSATIONS, less_than, more_than, one_of},
    },
};

/// Before any deletion.
const BEGINNING: Timestamp = Timestamp::from_millis(0);

/// Deletes a conversation, if it is the user's. One that is deleted already may be so because of a first attempt whose response
/// was lost; then it counts as deleted now.
pub(super) async fn delete(db: &Db, user_id: Id, id: Id, now: Timestamp, is_repeated: bool) -> Attempt<bool> {
    let filter = queries::CONVERSATION.of([uuid(id), uuid(user_id), false.into()]);
    let changed = doc! { "deleted": true, "deleted_at": date(now), "unlogged": true };
    let update = doc! { "$set": changed, "$inc": { "rev": 1_i64 } };
    if db.update(filter, update).await?.is_some() {
        return Ok(true);
    }
    Ok(is_repeated && matches!(conversations::presence(db, user_id, id).await?, Presence::Deleted(_)))
}

/// Brings back a conversation that was deleted after `since`, if it is the user's.
pub(super) async fn undelete(
    db: &Db,
    user_id: Id,
    id: Id,
    since: Timestamp,
    now: Timestamp,
) -> Attempt<Option<Conversation>> {
    let filter =
        queries::DELETED_CONVERSATION.of([uuid(id), uuid(user_id), true.into(), more_than(date(since))]);
    let update = doc! {
        "$set": { "deleted": false, "unlogged": true },
        "$unset": { "deleted_at": "" },
        "$max": { "updated_at": date(now) },
        "$inc": { "rev": 1_i64 },
    };
    match db.update(filter, update).await? {
        Some(undeleted) => conversations::read(&undeleted).map(Some),
        None => conversations::find(db, user_id, id).await,
    }
}

/// Returns a page of deleted ones, last deletion first. Tombstones come after them all, as they have no time of a deletion.
pub(super) async fn page(db: &Db, user_id: Id, page: DeletedPage) -> Attempt<Vec<Conversation>> {
    let mut list = queries::DELETED.of([uuid(user_id), true.into()]).descending();
    if let Some(place) = page.after {
        list = list.after_both(date(place.deleted_at), uuid(place.id));
    }
    let mut found = Vec::new();
    for document in db.find(list, page.limit).await? {
        let conversation = conversations::read(&document)?;
        if conversation.deleted_at.is_none_or(|at| at <= page.since) {
            break;
        }
        found.push(conversation);
    }
    Ok(found)
}

/// Removes a part of a conversation that was deleted by then, or at last itself. Its contents go first, so that a crash leaves a
/// conversation that the next call finds; and once more after it, for deliveries that were under way.
pub(super) async fn purge(db: &Db, before: Timestamp, limit: u32) -> Attempt<u64> {
    let due = queries::TO_PURGE.of([true.into()]).between(date(BEGINNING), date(before));
    let Some(document) = db.find_fields(due, 1, &["_id"]).await?.pop() else { return Ok(0) };
    let id = Fields::of(CONVERSATIONS, &document).id("_id")?;
    for (of_it, by_id) in [
        (queries::MESSAGES_OF, queries::MESSAGE),
        (queries::TURNS_OF, queries::ANY_TURN),
        (queries::DELETED_MESSAGES_OF, queries::DELETED_MESSAGE),
    ] {
        let found = db.find_fields(of_it.of([uuid(id)]), limit, &["_id"]).await?;
        if !found.is_empty() {
            let ids = found.iter().filter_map(|document| document.get("_id").cloned());
            db.delete_all(by_id.of([one_of(ids)])).await?;
            return Ok(found.len() as u64);
        }
    }
    let purged = queries::DELETED_BEFORE.of([uuid(id), true.into(), less_than(date(before.plus_millis(1)))]);
    db.update_all(purged, tombstone(false)).await?;
    clear_out(db, &[id]).await?;
    Ok(1)
}

/// Deletes conversations of a user for good, deleted ones at last. Their contents go first, and once more, as in [`purge`].
pub(super) async fn delete_many(db: &Db, user_id: Id, limit: u32) -> Attempt<u64> {
    let (ids, is_deleted) = some_of_user(db, user_id, limit).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    clear_out(db, &ids).await?;
    let any = one_of(ids.iter().copied().map(uuid));
    let these = queries::CONVERSATION.of([any, uuid(user_id), is_deleted.into()]);
    db.update_all(these, tombstone(!is_deleted)).await?;
    clear_out(db, &ids).await?;
    Ok(ids.len() as u64)
}

/// Gives conversations of a user to another one, deleted ones at last. Their messages name no user, and their turns are found by the
/// conversation. A turn that is being recorded meets another revision, and finds no conversation of the first user.
pub(super) async fn give(db: &Db, from: Id, to: Id, limit: u32) -> Attempt<u64> {
    let (ids, is_deleted) = some_of_user(db, from, limit).await?;
    if !ids.is_empty() {
        let any = one_of(ids.iter().copied().map(uuid));
        let given = queries::CONVERSATION.of([any, uuid(from), is_deleted.into()]);
        let update = doc! { "$set": { "user_id": uuid(to), "unlogged": true }, "$inc": { "rev": 1_i64 } };
        db.update_all(given, update).await?;
    }
    Ok(ids.len() as u64)
}

/// Removes the messages and turns of conversations that are, or become, tombstones.
pub(super) async fn clear_out(db: &Db, ids: &[Id]) -> Attempt<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let any = || one_of(ids.iter().copied().map(uuid));
    db.delete_all(queries::MESSAGES_OF.of([any()])).await?;
    db.delete_all(queries::TURNS_OF.of([any()])).await?;
    db.delete_all(queries::DELETED_MESSAGES_OF.of([any()])).await
}

/// Returns some of the user's conversations that are not tombstones: those that are not deleted, or else deleted ones.
async fn some_of_user(db: &Db, user_id: Id, limit: u32) -> Attempt<(Vec<Id>, bool)> {
    let id = |document: &Document| Fields::of(CONVERSATIONS, document).id("_id");
    let listed = queries::LISTED.of([uuid(user_id), false.into()]).descending();
    let found = db.find_fields(listed, limit, &["_id"]).await?;
    if !found.is_empty() {
        return Ok((found.iter().map(id).collect::<Attempt<_>>()?, false));
    }
    let deleted = queries::DELETED.of([uuid(user_id), true.into()]).descending();
    let found = db.find_fields(deleted, limit, &["deleted_at"]).await?;
    let found = found.iter().filter(|document| matches!(document.get("deleted_at"), Some(Bson::DateTime(_))));
    Ok((found.map(id).collect::<Attempt<_>>()?, true))
}

/// Returns the update that replaces a conversation by a tombstone; it may be a change that readers have not seen.
fn tombstone(is_change: bool) -> Document {
    let mut set = doc! { "deleted": true };
    if is_change {
        set.insert("unlogged", true);
    }
    doc! {
        "$set": set,
        "$unset": { "title": "", "model": "", "system": "", "last_message_preview": "", "last_message_at": "",
            "head_id": "", "head_branch_id": "", "deleted_at": "", "messages_deleted_at": "", "cutting": "",
            "stats": "" },
        "$inc": { "rev": 1_i64 },
    }
}
