//! The order of changes, which its readers create; the adapter's module documentation says why.

use std::collections::{BTreeMap, HashMap, HashSet};

use mongodb::bson::{Document, doc};
use shared::{
    id::Id,
    time::{DAY_MS, Timestamp},
};

use super::{conversations, cuts, deletions};
use crate::store::{
    chats::Change,
    error::StoreError,
    mongo::{
        document::{Fields, count, date, uuid},
        engine::Db,
        fault::Attempt,
        queries::{self, CHANGES, CONVERSATIONS, less_than, one_of},
    },
};

/// The most conversations that are logged in one step.
const LOGGED_AT_ONCE: u32 = 500;
/// The most entries that are read in one step.
const READ_AT_ONCE: u32 = 1_000;
/// The attempts of an appender. Each failure means that another one of the same user appended something.
const ATTEMPTS: u32 = 50;
/// The least age of an entry that is removed: longer than any appender can be delayed.
const RETENTION_MS: i64 = DAY_MS;

/// A conversation that changed since it was logged.
struct Unlogged {
    id: Id,
    rev: u64,
    /// True for a tombstone.
    is_purged: bool,
    /// A message whose deletion has begun.
    cutting: Option<Id>,
}

/// Returns the changes after a position, in order.
pub(super) async fn after(
    db: &Db,
    user_id: Id,
    position: u64,
    limit: u32,
    now: Timestamp,
) -> Attempt<Vec<Change>> {
    log(db, user_id, limit, now).await?;
    let places = places(db, user_id, position, limit).await?;
    let ids: Vec<_> = places.values().copied().collect();
    let found = conversations::find_all(db, user_id, &ids).await?;
    let mut found: HashMap<_, _> = found.into_iter().map(|found| (found.id, found)).collect();
    let changes = places.into_iter().map(|(position, conversation_id)| Change {
        position,
        conversation_id,
        conversation: found.remove(&conversation_id),
    });
    Ok(changes.collect())
}

/// Appends entries for the unlogged conversations: all of them, or enough for a page. Only entries appended here count for
/// the page: an existing entry may be before the caller's position.
async fn log(db: &Db, user_id: Id, enough: u32, now: Timestamp) -> Attempt<()> {
    let wanted = usize::try_from(enough).unwrap_or(usize::MAX);
    let (at_once, mut appended) = (enough.clamp(1, LOGGED_AT_ONCE), HashSet::new());
    loop {
        let unlogged = queries::UNLOGGED.of([uuid(user_id), true.into()]);
        let unlogged =
            db.find_fields(unlogged, at_once, &["rev", "deleted", "deleted_at", "cutting"]).await?;
        let unlogged = unlogged.iter().map(read_unlogged).collect::<Attempt<Vec<_>>>()?;
        if !unlogged.is_empty() {
            appended.extend(log_these(db, user_id, &unlogged, now).await?);
        }
        let is_end = u32::try_from(unlogged.len()).is_ok_and(|count| count < at_once);
        if is_end || appended.len() >= wanted {
            return Ok(());
        }
    }
}

/// Logs these conversations, and returns those that another reader had not logged before.
async fn log_these(db: &Db, user_id: Id, unlogged: &[Unlogged], now: Timestamp) -> Attempt<Vec<Id>> {
    let tombstones = unlogged.iter().filter(|conversation| conversation.is_purged);
    let tombstones: Vec<_> = tombstones.map(|conversation| conversation.id).collect();
    deletions::clear_out(db, &tombstones).await?;
    for conversation in unlogged {
        if let Some(root) = conversation.cutting {
            cuts::complete(db, conversation.id, root).await?;
        }
    }
    let appended = append(db, user_id, unlogged, now).await?;
    // A conversation that changed meanwhile has another revision and stays unlogged.
    let same = unlogged.iter().map(|conversation| [uuid(conversation.id), count(conversation.rev)]);
    let same = queries::CONVERSATION_AT.of_any(same);
    db.update_all(same, doc! { "$set": { "unlogged": false } }).await?;
    Ok(appended)
}

/// Appends entries for those of these revisions that have none. Returns the conversations of the entries it inserted.
async fn append(db: &Db, user_id: Id, unlogged: &[Unlogged], now: Timestamp) -> Attempt<Vec<Id>> {
    let mut pending: Vec<_> =
        unlogged.iter().map(|conversation| (conversation.id, conversation.rev)).collect();
    let mut appended = Vec::new();
    for _ in 0..ATTEMPTS {
        let first = highest(db, user_id).await?.saturating_add(1);
        let entries: Vec<_> =
            pending.iter().zip(first..).map(|(change, place)| entry(user_id, *change, place, now)).collect();
        let inserted = db.insert(CHANGES, &entries).await?;
        appended.extend(pending.iter().take(inserted).map(|(id, _)| *id));
        if inserted == entries.len() {
            let ids: Vec<_> = pending.iter().map(|(id, _)| *id).collect();
            remove_superseded(db, user_id, &ids, first, now).await?;
            return Ok(appended);
        }
        // Another reader appended meanwhile: other changes, or the same.
        let logged = logged_of(db, user_id, &pending).await?;
        pending.retain(|change| !logged.contains(change));
        if pending.is_empty() {
            return Ok(appended);
        }
    }
    Err(StoreError::Unavailable("a user's changes have too many readers at once".to_owned()).into())
}

async fn highest(db: &Db, user_id: Id) -> Attempt<u64> {
    let last = queries::CHANGES_OF.of([uuid(user_id)]).descending();
    let found = db.find_fields(last, 1, &["position"]).await?.pop();
    found.map_or(Ok(0), |document| Fields::of(CHANGES, &document).count("position"))
}

/// Returns those of these revisions that have an entry.
async fn logged_of(db: &Db, user_id: Id, changes: &[(Id, u64)]) -> Attempt<HashSet<(Id, u64)>> {
    let limit = u32::try_from(changes.len()).unwrap_or(u32::MAX);
    let any = changes.iter().map(|(id, rev)| [uuid(user_id), uuid(*id), count(*rev)]);
    let found = db.find_fields(queries::CHANGE.of_any(any), limit, &["conversation_id", "rev"]).await?;
    let read = |document: &Document| {
        let fields = Fields::of(CHANGES, document);
        Ok((fields.id("conversation_id")?, fields.count("rev")?))
    };
    found.iter().map(read).collect()
}

/// Removes the old entries of these conversations before the newest; the highest entry is never one of them.
async fn remove_superseded(db: &Db, user_id: Id, ids: &[Id], newest: u64, now: Timestamp) -> Attempt<()> {
    let ids = one_of(ids.iter().copied().map(uuid));
    let earlier = less_than(count(newest));
    let old = less_than(date(now.plus_millis(-RETENTION_MS)));
    db.delete_all(queries::SUPERSEDED.of([uuid(user_id), ids, earlier, old])).await
}

/// Returns the conversations that changed after a position, each at the last of its positions that was read. Fewer than
/// `limit` only when there are no more.
async fn places(db: &Db, user_id: Id, position: u64, limit: u32) -> Attempt<BTreeMap<u64, Id>> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut last_places: HashMap<Id, u64> = HashMap::new();
    let (mut position, mut at_once) = (position, limit);
    while last_places.len() < wanted {
        let entries = queries::CHANGES_OF.of([uuid(user_id)]).after(count(position));
        let entries = db.find_fields(entries, at_once, &["position", "conversation_id"]).await?;
        let is_end = u32::try_from(entries.len()).is_ok_and(|count| count < at_once);
        for document in &entries {
            let fields = Fields::of(CHANGES, document);
            let id = fields.id("conversation_id")?;
            if last_places.len() == wanted && !last_places.contains_key(&id) {
                break;
            }
            position = fields.count("position")?;
            last_places.insert(id, position);
        }
        if is_end {
            break;
        }
        at_once = READ_AT_ONCE;
    }
    Ok(last_places.into_iter().map(|(id, position)| (position, id)).collect())
}

fn entry(user_id: Id, (conversation_id, rev): (Id, u64), position: u64, now: Timestamp) -> Document {
    doc! {
        "user_id": uuid(user_id),
        "position": count(position),
        "conversation_id": uuid(conversation_id),
        "rev": count(rev),
        "at": date(now),
    }
}

fn read_unlogged(document: &Document) -> Attempt<Unlogged> {
    let fields = Fields::of(CONVERSATIONS, document);
    Ok(Unlogged {
        id: fields.id("_id")?,
        rev: fields.count("rev")?,
        is_purged: fields.flag("deleted")? && fields.optional_time("deleted_at")?.is_none(),
        cutting: fields.optional_id("cutting")?,
    })
}
