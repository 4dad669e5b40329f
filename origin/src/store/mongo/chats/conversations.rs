//! Conversations. What is read of one for its messages is so after a deletion of a message that had begun.

use mongodb::bson::{Bson, Document, doc};
use shared::{
    api::{
        chat::{Conversation, UpdateConversation, preview},
        internal::{Head, TurnDelivery},
    },
    chat::tree::Position,
    id::Id,
    time::Timestamp,
};

use super::{
    cuts,
    tree::{self, Joined},
};
use crate::store::{
    chats::{ActivityPosition, ConversationsPage, Shown, Updated},
    error::StoreError,
    mongo::{
        document::{Fields, count, date, set, uuid},
        engine::Db,
        fault::Attempt,
        queries::{self, CONVERSATIONS, Filter, one_of},
    },
};

/// The fields that [`read_presence`] reads.
const PRESENCE: &[&str] = &[
    "deleted",
    "deleted_at",
    "messages_deleted_at",
    "cutting",
    "rev",
    "head_id",
    "head_branch_id",
    "head_seq",
    "head_mark",
    "head_turn_id",
    "is_branched",
    "message_count",
];

/// The most attempts of a write that depends on a revision. Each failure means that another write came first.
pub(super) const ATTEMPTS: u32 = 100;

/// The presence of a user's conversation.
pub(super) enum Presence {
    Absent,
    Here(Here),
    Deleted(Here),
    Purged,
}

/// A conversation with its contents, as of a revision.
pub(super) struct Here {
    pub(super) rev: u64,
    pub(super) shown: Shown,
    /// The last deletion of messages.
    pub(super) messages_deleted_at: Option<Timestamp>,
    /// A message whose deletion has begun.
    cutting: Option<Id>,
}

/// A conversation for whoever reads its messages.
pub(super) struct Found {
    pub(super) conversation: Conversation,
    pub(super) shown: Shown,
    /// A message whose deletion has begun.
    pub(super) cutting: Option<Id>,
}

/// Inserts a conversation; changes nothing when it is the user's and exists or was deleted.
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

/// Returns the presence of a user's conversation.
pub(super) async fn presence(db: &Db, user_id: Id, id: Id) -> Attempt<Presence> {
    let own = queries::OWN_CONVERSATION.of([uuid(id), uuid(user_id)]);
    let found = read_presence(db.find_fields(own, 1, PRESENCE).await?.pop())?;
    complete_cut(db, id, found).await
}

/// Does the same for a caller that does not retry: no acknowledged conversation is reported as absent.
pub(super) async fn certain_presence(db: &Db, user_id: Id, id: Id) -> Attempt<Presence> {
    match presence(db, user_id, id).await? {
        Presence::Absent => {
            let own = queries::OWN_CONVERSATION.of([uuid(id), uuid(user_id)]);
            let found = read_presence(db.find_missing(own, PRESENCE).await?)?;
            complete_cut(db, id, found).await
        }
        found => Ok(found),
    }
}

/// Completes the deletion of a message that has begun.
async fn complete_cut(db: &Db, id: Id, presence: Presence) -> Attempt<Presence> {
    if let Presence::Here(here) | Presence::Deleted(here) = &presence
        && let Some(root) = here.cutting
    {
        cuts::complete(db, id, root).await?;
    }
    Ok(presence)
}

/// Returns a conversation, if it is the user's.
pub(super) async fn find(db: &Db, user_id: Id, id: Id) -> Attempt<Option<Conversation>> {
    let filter = queries::CONVERSATION.of([uuid(id), uuid(user_id), false.into()]);
    db.find_one(filter).await?.as_ref().map(read).transpose()
}

/// Returns those of these conversations that are the user's.
pub(super) async fn find_all(db: &Db, user_id: Id, ids: &[Id]) -> Attempt<Vec<Conversation>> {
    let ids = ids.iter().copied().map(uuid);
    let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let filter = queries::CONVERSATION.of([one_of(ids), uuid(user_id), false.into()]);
    db.find(filter, limit).await?.iter().map(read).collect()
}

/// Returns a page, newest activity first. Each form is served by an index in the order of the list.
pub(super) async fn page(db: &Db, user_id: Id, page: ConversationsPage) -> Attempt<Vec<Conversation>> {
    let (user_id, deleted) = (uuid(user_id), false.into());
    let list = match (page.archived, page.pinned) {
        (None, None) => queries::LISTED.of([user_id, deleted]),
        (Some(archived), None) => queries::LISTED_BY_ARCHIVED.of([user_id, deleted, archived.into()]),
        (None, Some(pinned)) => queries::LISTED_BY_PINNED.of([user_id, deleted, pinned.into()]),
        (Some(archived), Some(pinned)) => {
            queries::LISTED_BY_BOTH.of([user_id, deleted, archived.into(), pinned.into()])
        }
    };
    let mut list = list.descending();
    if let Some(place) = page.after {
        list = list.after_both(date(place.activity_at), uuid(place.id));
    }
    db.find(list, page.limit).await?.iter().map(read).collect()
}

/// Changes the fields of the update.
pub(super) async fn update(
    db: &Db,
    user_id: Id,
    id: Id,
    update: &UpdateConversation,
    now: Timestamp,
) -> Attempt<Updated> {
    let Some(message_id) = update.head_id else {
        let filter = queries::CONVERSATION.of([uuid(id), uuid(user_id), false.into()]);
        let changed = db.update(filter, changes_of(update, now)).await?;
        return changed.as_ref().map_or(Ok(Updated::Absent), read_updated);
    };
    for _ in 0..ATTEMPTS {
        let Presence::Here(here) = presence(db, user_id, id).await? else { return Ok(Updated::Absent) };
        let Some(position) = tree::position(db, id, message_id).await? else {
            return Ok(Updated::UnknownHead);
        };
        let mut changes = changes_of(update, now);
        let head = here.shown.head.moved_by_user(now, message_id);
        if let Ok(set) = changes.get_document_mut("$set") {
            set.extend(head_fields(head, position));
        }
        if let Some(changed) = db.update(at_revision(id, &here), changes).await? {
            return read_updated(&changed);
        }
    }
    Err(too_many_writers().into())
}

/// The fields that an update changes besides the head.
fn changes_of(update: &UpdateConversation, now: Timestamp) -> Document {
    let mut changed = doc! { "unlogged": true };
    set(&mut changed, "title", update.title.clone().map(or_null));
    set(&mut changed, "model", update.model.clone().map(or_null));
    set(&mut changed, "system", update.system.clone().map(or_null));
    set(&mut changed, "pinned", update.pinned);
    set(&mut changed, "archived", update.archived);
    doc! { "$set": changed, "$max": { "updated_at": date(now) }, "$inc": { "rev": 1_i64 } }
}

fn read_updated(document: &Document) -> Attempt<Updated> {
    Ok(Updated::Now(Box::new(read(document)?)))
}

/// Records a turn in its conversation: raises the counters to its last message, never lowers them, and moves the head where
/// the turn sets it. Returns the highest `seq`; `None` when the conversation is deleted, was given to another user, or lost the
/// message that the turn follows. Each attempt updates the revision that it read; `here` is that of the first one, and whether the
/// conversation was deleted.
pub(super) async fn advance(
    db: &Db,
    delivery: &TurnDelivery,
    turn: &Joined,
    here: (Here, bool),
) -> Attempt<Option<u64>> {
    let (user_id, id) = (delivery.user_id, delivery.conversation_id);
    let (mut here, mut is_deleted) = here;
    for _ in 0..ATTEMPTS {
        let Shown { head, last_seq, is_branched, .. } = here.shown;
        let moved = head.after(delivery);
        let mut changed = doc! { "is_branched": is_branched || turn.is_aside };
        if !is_deleted {
            changed.insert("unlogged", true);
        }
        if last_seq < turn.last.seq {
            changed.insert("message_count", count(turn.last.seq));
            changed.insert("last_message_preview", preview(delivery.last_text()));
        }
        if moved != head {
            changed.extend(head_fields(moved, turn.last));
        }
        let at = date(delivery.messages.answer().created_at);
        let latest = doc! { "last_message_at": at.clone(), "activity_at": at, "updated_at": date(delivery.finished_at) };
        let update = doc! { "$set": changed, "$max": latest, "$inc": { "rev": 1_i64 } };
        if let Some(document) = db.update(at_revision(id, &here), update).await? {
            let highest = Fields::of(CONVERSATIONS, &document).count("message_count")?;
            return Ok(Some(highest).filter(|_| !is_deleted));
        }
        let messages_deleted_at = here.messages_deleted_at;
        (here, is_deleted) = match presence(db, user_id, id).await? {
            Presence::Here(found) => (found, false),
            Presence::Deleted(found) => (found, true),
            Presence::Absent | Presence::Purged => return Ok(None),
        };
        if here.messages_deleted_at != messages_deleted_at && cuts::drop_turn(db, delivery).await? {
            return Ok(None);
        }
    }
    Err(too_many_writers().into())
}

/// Builds the condition that a conversation has not changed.
pub(super) fn at_revision(id: Id, here: &Here) -> Filter {
    queries::CONVERSATION_AT.of([uuid(id), count(here.rev)])
}

/// Encodes a head and its position.
pub(super) fn head_fields(head: Head, position: Position) -> Document {
    let or_null = |id: Option<Id>| id.map_or(Bson::Null, uuid);
    doc! {
        "head_id": or_null(head.message_id),
        "head_branch_id": or_null(position.branch),
        "head_seq": count(position.seq),
        "head_mark": or_null(head.mark),
        "head_turn_id": or_null(head.turn_id),
    }
}

/// Returns the error after too many attempts.
pub(super) fn too_many_writers() -> StoreError {
    StoreError::Unavailable("a conversation has too many writers at once".to_owned())
}

fn read_presence(found: Option<Document>) -> Attempt<Presence> {
    let Some(document) = found else { return Ok(Presence::Absent) };
    let fields = Fields::of(CONVERSATIONS, &document);
    let (is_deleted, deleted_at) = (fields.flag("deleted")?, fields.optional_time("deleted_at")?);
    if is_deleted && deleted_at.is_none() {
        return Ok(Presence::Purged);
    }
    let here = Here {
        rev: fields.count("rev")?,
        shown: read_shown(&fields)?,
        messages_deleted_at: fields.optional_time("messages_deleted_at")?,
        cutting: fields.optional_id("cutting")?,
    };
    Ok(if is_deleted { Presence::Deleted(here) } else { Presence::Here(here) })
}

fn read_shown(fields: &Fields<'_>) -> Attempt<Shown> {
    Ok(Shown {
        head: Head {
            message_id: fields.optional_id("head_id")?,
            mark: fields.optional_id("head_mark")?,
            turn_id: fields.optional_id("head_turn_id")?,
        },
        position: Position {
            branch: fields.optional_id("head_branch_id")?,
            seq: fields.optional_count("head_seq")?.unwrap_or(0),
        },
        is_branched: fields.optional_flag("is_branched")?.unwrap_or(false),
        last_seq: fields.count("message_count")?,
    })
}

/// Returns a conversation, if it is the user's, and its shown branch; a deleted one only when that is wanted.
pub(super) async fn find_shown(db: &Db, user_id: Id, id: Id, with_deleted: bool) -> Attempt<Option<Found>> {
    let own = queries::OWN_CONVERSATION.of([uuid(id), uuid(user_id)]);
    let Some(document) = db.find_one(own).await? else { return Ok(None) };
    let fields = Fields::of(CONVERSATIONS, &document);
    if fields.flag("deleted")? && !(with_deleted && fields.optional_time("deleted_at")?.is_some()) {
        return Ok(None);
    }
    let (conversation, shown) = (read(&document)?, read_shown(&fields)?);
    Ok(Some(Found { conversation, shown, cutting: fields.optional_id("cutting")? }))
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

/// Decodes a conversation.
pub(super) fn read(document: &Document) -> Attempt<Conversation> {
    let fields = Fields::of(CONVERSATIONS, document);
    Ok(Conversation {
        id: fields.id("_id")?,
        title: fields.optional_string("title")?,
        model: fields.optional_string("model")?,
        system: fields.optional_string("system")?,
        pinned: fields.flag("pinned")?,
        archived: fields.flag("archived")?,
        head_id: fields.optional_id("head_id")?,
        message_count: fields.count("message_count")?,
        last_message_preview: fields.optional_string("last_message_preview")?,
        last_message_at: fields.optional_time("last_message_at")?,
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
        messages_deleted_at: fields.optional_time("messages_deleted_at")?,
        deleted_at: fields.optional_time("deleted_at")?,
    })
}
