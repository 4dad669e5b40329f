//! All conversations of a user at once, for users who are deleted.

use mongodb::bson::Document;
use shared::id::Id;

use super::deletions::{clear_out, delete_many};
use crate::store::mongo::{
    document::{Fields, uuid},
    engine::Db,
    fault::Attempt,
    queries::{self, CONVERSATIONS, one_of},
};

/// Removes a user's conversations, then tombstones, then changes.
pub(super) async fn forget(db: &Db, user_id: Id, limit: u32) -> Attempt<u64> {
    let deleted = delete_many(db, user_id, limit).await?;
    if deleted > 0 {
        return Ok(deleted);
    }
    let ids = tombstones(db, user_id, limit).await?;
    if ids.is_empty() {
        db.delete_all(queries::CHANGES_OF.of([uuid(user_id)])).await?;
        return Ok(0);
    }
    clear_out(db, &ids).await?;
    let any = one_of(ids.iter().copied().map(uuid));
    db.delete_all(queries::CONVERSATION.of([any, uuid(user_id), true.into()])).await?;
    Ok(ids.len() as u64)
}

/// Returns some of the user's tombstones.
async fn tombstones(db: &Db, user_id: Id, limit: u32) -> Attempt<Vec<Id>> {
    let listed = queries::LISTED.of([uuid(user_id), true.into()]).descending();
    let found = db.find_fields(listed, limit, &["_id"]).await?;
    let id = |document: &Document| Fields::of(CONVERSATIONS, document).id("_id");
    found.iter().map(id).collect()
}
