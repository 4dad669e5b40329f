//! Conversations. One that was deleted stays as a tombstone, which no method returns.

use mongodb::bson::{Bson, Document, doc};
use shared::{
    api::chat::{Conversation, UpdateConversation, preview},
    id::Id,
    time::Timestamp,
};

use crate::store::{
    chats::{ActivityPosition, ConversationsPage},
    error::StoreError,
    mongo::{
        document::{Fields, count, date, set, uuid},
        engine::Db,
        fault::Attempt,
        queries::{self, CONVERSATIONS, less_than, one_of},
    },
};

/// The fields that [`read_presence`] reads.
const PRESENCE: &[&str] = &["deleted"];

/// Whether a conversation of theirs is there.
pub(super) enum Presence {
    Absent,
    Here,
    Deleted,
}

/// Inserts a conversation; nothing when it is there, or was, and theirs.
pub(super) async fn insert(db: &Db, user_id: Id, conversation: &Conversation) -> Attempt<()> {
    if db.insert(CONVERSATIONS, &[document(user_id, conversation)]).await? == 1 {
        return Ok(());
    }
    let there = db.find_one(queries::ANY_CONVERSATION.of([uuid(conversation.id)])).await?;
    let owner = there.map(|document| Fields::of(CONVERSATIONS, &document).id("user_id")).transpose()?;
    if owner == Some(user_id) {
        return Ok(());
    }
    Err(StoreError::Conflict("the conversation's id is somebody else's").into())
}

/// Whether a conversation of theirs is there.
pub(super) async fn presence(db: &Db, user_id: Id, id: Id) -> Attempt<Presence> {
    let own = queries::OWN_CONVERSATION.of([uuid(id), uuid(user_id)]);
    read_presence(db.find_fields(own, 1, PRESENCE).await?.pop())
}

/// The same for who will not ask again: none that was acknowledged is taken for absent.
pub(super) async fn certain_presence(db: &Db, user_id: Id, id: Id) -> Attempt<Presence> {
    match presence(db, user_id, id).await? {
        Presence::Absent => {
            let own = queries::OWN_CONVERSATION.of([uuid(id), uuid(user_id)]);
            read_presence(db.find_missing(own, PRESENCE).await?)
        }
        found => Ok(found),
    }
}

/// A conversation, if it is theirs.
pub(super) async fn find(db: &Db, user_id: Id, id: Id) -> Attempt<Option<Conversation>> {
    let filter = queries::CONVERSATION.of([uuid(id), uuid(user_id), false.into()]);
    db.find_one(filter).await?.as_ref().map(read).transpose()
}

/// Those of these that are theirs.
pub(super) async fn find_all(db: &Db, user_id: Id, ids: &[Id]) -> Attempt<Vec<Conversation>> {
    let ids = ids.iter().copied().map(uuid);
    let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let filter = queries::CONVERSATION.of([one_of(ids), uuid(user_id), false.into()]);
    db.find(filter, limit).await?.iter().map(read).collect()
}

/// A page, newest activity first. Both forms are served by an index in the order of the list.
pub(super) async fn page(db: &Db, user_id: Id, page: ConversationsPage) -> Attempt<Vec<Conversation>> {
    let list = match page.archived {
        None => queries::LISTED.of([uuid(user_id), false.into()]),
        Some(archived) => queries::LISTED_BY_ARCHIVED.of([uuid(user_id), false.into(), archived.into()]),
    };
    let mut list = list.descending();
    if let Some(place) = page.after {
        list = list.after_both(date(place.activity_at), uuid(place.id));
    }
    db.find(list, page.limit).await?.iter().map(read).collect()
}

/// Changes what the update names.
pub(super) async fn update(
    db: &Db,
    user_id: Id,
    id: Id,
    update: &UpdateConversation,
    now: Timestamp,
) -> Attempt<Option<Conversation>> {
    let mut changed = doc! { "unlogged": true };
    set(&mut changed, "title", update.title.clone().map(or_null));
    set(&mut changed, "model", update.model.clone().map(or_null));
    set(&mut changed, "system", update.system.clone().map(or_null));
    set(&mut changed, "pinned", update.pinned);
    set(&mut changed, "archived", update.archived);
    let filter = queries::CONVERSATION.of([uuid(id), uuid(user_id), false.into()]);
    let update = doc! { "$set": changed, "$max": { "updated_at": date(now) }, "$inc": { "rev": 1_i64 } };
    db.update(filter, update).await?.as_ref().map(read).transpose()
}

/// Makes a tombstone of a conversation, if it is theirs, and removes what was in it. One that is a tombstone already
/// may be so because of a first attempt whose answer was lost; then it counts as deleted now.
pub(super) async fn delete(db: &Db, user_id: Id, id: Id, is_repeated: bool) -> Attempt<bool> {
    let filter = queries::CONVERSATION.of([uuid(id), uuid(user_id), false.into()]);
    let update = doc! {
        "$set": { "deleted": true, "unlogged": true },
        "$unset": { "title": "", "model": "", "system": "", "last_message_preview": "", "last_message_at": "" },
        "$inc": { "rev": 1_i64 },
    };
    let deleted_now = db.update(filter, update).await?.is_some();
    if !deleted_now && !matches!(presence(db, user_id, id).await?, Presence::Deleted) {
        return Ok(false);
    }
    clear_out(db, &[id]).await?;
    Ok(deleted_now || is_repeated)
}

/// Removes what was in conversations that are tombstones.
pub(super) async fn clear_out(db: &Db, ids: &[Id]) -> Attempt<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let any = || one_of(ids.iter().copied().map(uuid));
    db.delete_all(queries::MESSAGES_OF.of([any()])).await?;
    db.delete_all(queries::TURNS_OF.of([any()])).await
}

/// Moves the counters up to a message at `seq`, never down. Returns the highest `seq`; `None` when the conversation was
/// deleted.
pub(super) async fn advance(
    db: &Db,
    user_id: Id,
    id: Id,
    seq: u64,
    text: &str,
    at: Timestamp,
    changed_at: Timestamp,
) -> Attempt<Option<u64>> {
    let latest =
        doc! { "last_message_at": date(at), "activity_at": date(at), "updated_at": date(changed_at) };
    let behind =
        queries::CONVERSATION_BEHIND.of([uuid(id), uuid(user_id), false.into(), less_than(count(seq))]);
    let newest = doc! {
        "$set": { "message_count": count(seq), "last_message_preview": preview(text), "unlogged": true },
        "$max": latest.clone(),
        "$inc": { "rev": 1_i64 },
    };
    let mut moved = db.update(behind, newest).await?;
    if moved.is_none() {
        let filter = queries::CONVERSATION.of([uuid(id), uuid(user_id), false.into()]);
        let late = doc! { "$set": { "unlogged": true }, "$max": latest, "$inc": { "rev": 1_i64 } };
        moved = db.update(filter, late).await?;
    }
    moved.map(|document| Fields::of(CONVERSATIONS, &document).count("message_count")).transpose()
}

fn read_presence(found: Option<Document>) -> Attempt<Presence> {
    let Some(document) = found else { return Ok(Presence::Absent) };
    let is_deleted = Fields::of(CONVERSATIONS, &document).flag("deleted")?;
    Ok(if is_deleted { Presence::Deleted } else { Presence::Here })
}

fn or_null(text: Option<String>) -> Bson {
    text.map_or(Bson::Null, Bson::String)
}

fn document(user_id: Id, conversation: &Conversation) -> Document {
    let mut document = doc! {
        "_id": uuid(conversation.id),
        "user_id": uuid(user_id),
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "message_count": count(conversation.message_count),
        "activity_at": date(ActivityPosition::of(conversation).activity_at),
        "created_at": date(conversation.created_at),
        "updated_at": date(conversation.updated_at),
        "deleted": false,
        "rev": 1_i64,
        "unlogged": true,
    };
    set(&mut document, "title", conversation.title.clone());
    set(&mut document, "model", conversation.model.clone());
    set(&mut document, "system", conversation.system.clone());
    set(&mut document, "last_message_preview", conversation.last_message_preview.clone());
    set(&mut document, "last_message_at", conversation.last_message_at.map(date));
    document
}

fn read(document: &Document) -> Attempt<Conversation> {
    let fields = Fields::of(CONVERSATIONS, document);
    Ok(Conversation {
        id: fields.id("_id")?,
        title: fields.optional_string("title")?,
        model: fields.optional_string("model")?,
        system: fields.optional_string("system")?,
        pinned: fields.flag("pinned")?,
        archived: fields.flag("archived")?,
        message_count: fields.count("message_count")?,
        last_message_preview: fields.optional_string("last_message_preview")?,
        last_message_at: fields.optional_time("last_message_at")?,
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
    })
}
