//! All conversations of a user at once, for users who are deleted.

use mongodb::bson::Document;
use shared::id::Id;

use super::conversations::{clear_out, tombstone};
use crate::store::mongo::{
    document::{Fields, uuid},
    engine::Db,
    fault::Attempt,
    queries::{self, CONVERSATIONS, one_of},
};

/// Deletes conversations of a user. Their contents go first, so that a crash leaves conversations that the next call finds; and once
/// more after it, for deliveries that were under way.
pub(super) async fn delete_conversations(db: &Db, user_id: Id, limit: u32) -> Attempt<u64> {
    let ids = some(db, user_id, false, limit).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    clear_out(db, &ids).await?;
    let any = one_of(ids.iter().copied().map(uuid));
    db.update_all(queries::CONVERSATION.of([any, uuid(user_id), false.into()]), tombstone()).await?;
    clear_out(db, &ids).await?;
    Ok(ids.len() as u64)
}

/// Removes a user's conversations, then tombstones, then changes.
pub(super) async fn forget(db: &Db, user_id: Id, limit: u32) -> Attempt<u64> {
    let deleted = delete_conversations(db, user_id, limit).await?;
    if deleted > 0 {
        return Ok(deleted);
    }
    let ids = some(db, user_id, true, limit).await?;
    if ids.is_empty() {
        db.delete_all(queries::CHANGES_OF.of([uuid(user_id)])).await?;
        return Ok(0);
    }
    clear_out(db, &ids).await?;
    let any = one_of(ids.iter().copied().map(uuid));
    db.delete_all(queries::CONVERSATION.of([any, uuid(user_id), true.into()])).await?;
    Ok(ids.len() as u64)
}

/// Returns some of the user's conversations, or of their tombstones.
async fn some(db: &Db, user_id: Id, is_deleted: bool, limit: u32) -> Attempt<Vec<Id>> {
    let listed = queries::LISTED.of([uuid(user_id), is_deleted.into()]).descending();
    let found = db.find_fields(listed, limit, &["_id"]).await?;
    let id = |document: &Document| Fields::of(CONVERSATIONS, document).id("_id");
    found.iter().map(id).collect()
}
