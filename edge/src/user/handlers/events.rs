//! Events of the origin, as the front delivers them.

use std::rc::Rc;

use shared::{
    api::internal::user_event::{AddressedEvent, EventReceipt, UserEvent},
    chat::turn::TurnOutcome,
    id::Id,
};
use worker::Result;

use crate::{
    log::Scope,
    user::{live_turn::LiveTurn, object::User},
};

/// Applies events in order, and returns the applied ones. One that cannot be applied is delivered again.
pub fn apply(user: &User, events: &[AddressedEvent], scope: &Scope) -> EventReceipt {
    let mut receipt = EventReceipt::default();
    for event in events {
        if scope.logged("applying an event", apply_one(user, event, scope)) == Some(true) {
            receipt.acknowledged.push(event.id);
        }
    }
    receipt
}

/// Applies an event. Returns whether this version knows it.
fn apply_one(user: &User, event: &AddressedEvent, scope: &Scope) -> Result<bool> {
    match event.event {
        UserEvent::ConversationChanged { conversation_id } => user.contexts.forget(conversation_id)?,
        UserEvent::ConversationDeleted { conversation_id } => forget(user, conversation_id, scope)?,
        UserEvent::SessionEnded { .. } | UserEvent::UserSessionsEnded { .. } => {
            user.sessions.record_event(event)?;
            user.turns.wake();
        }
        UserEvent::PlanChanged { .. } => user.sessions.record_event(event)?,
        UserEvent::UserDeleted => {
            user.sessions.record_event(event)?;
            erase(user, scope)?;
        }
        UserEvent::Unknown => return Ok(false),
    }
    Ok(true)
}

/// Stops the turns of a conversation, and drops its cached data.
fn forget(user: &User, conversation: Id, scope: &Scope) -> Result<()> {
    user.contexts.forget(conversation)?;
    user.store.erase_turns(conversation)?;
    stop(user, &user.turns.forget_conversation(conversation), scope);
    Ok(())
}

/// Stops all turns and erases all data: the account was deleted.
fn erase(user: &User, scope: &Scope) -> Result<()> {
    stop(user, &user.turns.forget_all(), scope);
    user.contexts.forget_all();
    user.outbox.forget_all();
    user.store.erase()
}

fn stop(user: &User, turns: &[Rc<LiveTurn>], scope: &Scope) {
    for turn in turns {
        user.runner.end(turn, TurnOutcome::Cancelled, scope);
        turn.cut_off();
    }
}
