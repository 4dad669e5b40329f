//! Turns: deliveries taken in, and read back.

use mongodb::bson::{Document, doc};
use shared::{
    api::{
        chat::{TurnCode, TurnError},
        internal::{StoredTurn, TurnDelivery},
    },
    id::Id,
};

use super::{
    conversations::{self, Presence},
    messages,
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

/// The rules of [`crate::store::chats::Chats::record_turn`].
pub(super) async fn record(db: &Db, delivery: &TurnDelivery) -> Attempt<Option<u64>> {
    let conversation_id = delivery.conversation_id;
    // Who is told that the conversation is absent forgets the turn.
    match conversations::certain_presence(db, delivery.user_id, conversation_id).await? {
        Presence::Here => {}
        Presence::Absent => return Ok(None),
        // An earlier attempt may have stored something after the deletion, and then have ended.
        Presence::Deleted => return conversations::clear_out(db, &[conversation_id]).await.map(|()| None),
    }
    let answer = &delivery.assistant_message;
    let places = messages::insert(db, &delivery.user_message, answer).await?;
    if let Err(fault) = insert(db, delivery).await {
        messages::take_back_on_conflict(db, &fault, &places.inserted).await?;
        return Err(fault);
    }
    let highest = conversations::advance(
        db,
        delivery.user_id,
        conversation_id,
        places.answered_at,
        delivery.last_text(),
        answer.created_at,
        delivery.finished_at,
    )
    .await?;
    if highest.is_none() {
        // It was deleted meanwhile, and that may have come too early to remove what was just stored.
        conversations::clear_out(db, &[conversation_id]).await?;
    }
    Ok(highest)
}

/// A turn of this user with its messages. The conversation is looked at last: if it is there then, so was the rest.
pub(super) async fn find(db: &Db, user_id: Id, turn_id: Id) -> Attempt<Option<StoredTurn>> {
    let found = db.find_one(queries::TURN.of([uuid(turn_id), uuid(user_id)])).await?;
    let Some(document) = found else { return Ok(None) };
    let fields = Fields::of(TURNS, &document);
    let asked = fields.id("user_message_id")?;
    let answered = fields.id("assistant_message_id")?;
    let mut messages = messages::find_all(db, [asked, answered]).await?;
    let conversation_id = fields.id("conversation_id")?;
    if conversations::find(db, user_id, conversation_id).await?.is_none() {
        return Ok(None);
    }
    let mut take = |id: Id, field: &'static str| {
        let place = messages.iter().position(|message| message.id == id);
        place.map(|place| messages.swap_remove(place)).ok_or_else(|| fields.corrupt(field))
    };
    Ok(Some(StoredTurn {
        user_message: take(asked, "user_message_id")?,
        assistant_message: take(answered, "assistant_message_id")?,
        last_event_id: fields.count("last_event_id")?,
        error: read_error(&fields)?,
        finished_at: fields.time("finished_at")?,
    }))
}

async fn insert(db: &Db, delivery: &TurnDelivery) -> Attempt<()> {
    if db.insert(TURNS, &[document(delivery)]).await? == 1 {
        return Ok(());
    }
    let there = db.find_one(queries::ANY_TURN.of([uuid(delivery.turn_id)])).await?;
    let conversation_id =
        there.map(|document| Fields::of(TURNS, &document).id("conversation_id")).transpose()?;
    if conversation_id == Some(delivery.conversation_id) {
        return Ok(());
    }
    Err(StoreError::Conflict("the turn's id is one of another conversation").into())
}

fn document(delivery: &TurnDelivery) -> Document {
    let mut document = doc! {
        "_id": uuid(delivery.turn_id),
        "user_id": uuid(delivery.user_id),
        "conversation_id": uuid(delivery.conversation_id),
        "user_message_id": uuid(delivery.user_message.id),
        "assistant_message_id": uuid(delivery.assistant_message.id),
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
