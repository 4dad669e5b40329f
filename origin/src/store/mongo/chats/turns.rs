//! Turns: deliveries are stored and read back.

use std::collections::HashMap;

use mongodb::bson::{Document, doc};
use shared::{
    api::{
        chat::{TurnCode, TurnError, TurnKind},
        internal::{StoredTurn, TurnDelivery, TurnMessages},
    },
    id::Id,
};

use super::{
    conversations::{self, ATTEMPTS, Presence},
    cuts, deletions, messages, tree,
};
use crate::store::{
    error::StoreError,
    mongo::{
        document::{Fields, count, date, set, uuid},
        engine::Db,
        fault::Attempt,
        queries::{self, TURNS},
    },
};

/// Stores a turn by the rules of [`crate::store::chats::Chats::record_turn`].
pub(super) async fn record(db: &Db, delivery: &TurnDelivery) -> Attempt<Option<u64>> {
    let conversation_id = delivery.conversation_id;
    // A caller that gets "absent" drops the turn.
    let (here, is_deleted) =
        match conversations::certain_presence(db, delivery.user_id, conversation_id).await? {
            Presence::Here(here) => (here, false),
            Presence::Deleted(here) => (here, true),
            Presence::Absent => return Ok(None),
            // An earlier attempt may have stored something after the purge and then ended.
            Presence::Purged => return deletions::clear_out(db, &[conversation_id]).await.map(|()| None),
        };
    if here.messages_deleted_at.is_some() && cuts::drop_turn(db, delivery).await? {
        return Ok(None);
    }
    let turn = tree::insert(db, delivery, &here.shown).await?;
    if let Err(fault) = insert(db, delivery).await {
        messages::take_back_on_conflict(db, &fault, &turn.inserted).await?;
        return Err(fault);
    }
    let highest = conversations::advance(db, delivery, &turn, (here, is_deleted)).await?;
    let presence = match highest {
        None => Some(conversations::presence(db, delivery.user_id, conversation_id).await?),
        Some(_) => None,
    };
    if matches!(presence, Some(Presence::Purged)) {
        // It was purged meanwhile, perhaps too early to remove what was just stored. One that is absent was given to another user,
        // who keeps all of it.
        deletions::clear_out(db, &[conversation_id]).await?;
    }
    Ok(highest)
}

/// Returns a turn of this user with its messages. The conversation is read last: if it exists then, so did the rest. It also tells
/// whose the turn is: conversations may be given to another user.
pub(super) async fn find(db: &Db, user_id: Id, turn_id: Id) -> Attempt<Option<StoredTurn>> {
    let found = db.find_one(queries::ANY_TURN.of([uuid(turn_id)])).await?;
    let Some(document) = found else { return Ok(None) };
    let fields = Fields::of(TURNS, &document);
    let ids = fields.ids("message_ids")?;
    let mut found: HashMap<_, _> =
        messages::find_all(db, &ids).await?.into_iter().map(|message| (message.id, message)).collect();
    let conversation_id = fields.id("conversation_id")?;
    let Some(of_it) = conversations::find_shown(db, user_id, conversation_id, false).await? else {
        return Ok(None);
    };
    if let Some(root) = of_it.cutting {
        cuts::complete(db, conversation_id, root).await?;
    }
    let messages: Option<Vec<_>> = ids.iter().map(|id| found.remove(id)).collect();
    let is_unsure = messages.is_none() || of_it.cutting.is_some();
    // A deletion of messages takes the turn first.
    if is_unsure && db.find_one(queries::ANY_TURN.of([uuid(turn_id)])).await?.is_none() {
        return Ok(None);
    }
    let mut messages = messages.ok_or_else(|| fields.corrupt("message_ids"))?;
    messages::find_siblings(db, of_it.shown.is_branched, &mut messages).await?;
    let usage = fields.optional_part("usage")?.ok_or_else(|| fields.corrupt("usage"))?;
    Ok(Some(StoredTurn {
        kind: fields.word("kind", TurnKind::parse)?,
        messages: TurnMessages::new(messages).ok_or_else(|| fields.corrupt("message_ids"))?,
        last_event_id: fields.count("last_event_id")?,
        error: read_error(&fields)?,
        usage: messages::read_usage(&usage)?,
        created_at: fields.time("created_at")?,
        finished_at: fields.time("finished_at")?,
    }))
}

async fn insert(db: &Db, delivery: &TurnDelivery) -> Attempt<()> {
    for _ in 0..ATTEMPTS {
        if db.insert(TURNS, &[document(delivery)]).await? == 1 {
            return Ok(());
        }
        let there =
            db.find_fields(queries::ANY_TURN.of([uuid(delivery.turn_id)]), 1, &["conversation_id"]).await?;
        // One that is gone by now was deleted with its messages.
        let Some(document) = there.first() else { continue };
        if Fields::of(TURNS, document).id("conversation_id")? == delivery.conversation_id {
            return Ok(());
        }
        return Err(StoreError::Conflict("the turn's id is one of another conversation").into());
    }
    Err(conversations::too_many_writers().into())
}

fn document(delivery: &TurnDelivery) -> Document {
    let mut document = doc! {
        "_id": uuid(delivery.turn_id),
        "user_id": uuid(delivery.user_id),
        "conversation_id": uuid(delivery.conversation_id),
        "kind": delivery.kind.as_str(),
        "message_ids": delivery.messages.iter().map(|message| uuid(message.id)).collect::<Vec<_>>(),
        "usage": messages::usage_document(&delivery.usage),
        "last_event_id": count(delivery.last_event_id),
        "created_at": date(delivery.created_at),
        "finished_at": date(delivery.finished_at),
    };
    if let Some(error) = &delivery.error {
        set(&mut document, "error_code", Some(error.code.as_str()));
        set(&mut document, "error_detail", Some(error.detail.as_str()));
    }
    document
}

fn read_error(fields: &Fields<'_>) -> Attempt<Option<TurnError>> {
    let Some(code) = fields.optional_word("error_code", TurnCode::parse)? else { return Ok(None) };
    Ok(Some(TurnError::new(code, fields.optional_string("error_detail")?)))
}
