//! Events of the origin, as the front delivers them.

use shared::{
    api::internal::user_event::{AddressedEvent, EventReceipt, UserEvent},
    id::Id,
};
use worker::Result;

use crate::{log::Scope, user::object::User};

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
            stop_ended_sessions(user, scope);
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

/// Stops the turns that tokens of sessions began which have ended.
fn stop_ended_sessions(user: &User, scope: &Scope) {
    for turn in user.turns.all_open() {
        if turn.origin().session_id.is_some_and(|session| user.sessions.is_ended(session)) {
            user.runner.stop(&turn, scope);
        }
    }
}

/// Stops the turns of a conversation, and drops its cached data.
fn forget(user: &User, conversation: Id, scope: &Scope) -> Result<()> {
    user.contexts.forget(conversation)?;
    for turn in user.turns.all_open().iter().filter(|turn| turn.conversation_id() == conversation) {
        user.runner.stop(turn, scope);
    }
    user.turns.forget_ended(conversation);
    user.store.erase_queue(conversation)?;
    user.store.erase_turns(conversation)
}

/// Stops all turns and erases all data: the account was deleted.
fn erase(user: &User, scope: &Scope) -> Result<()> {
    for turn in user.turns.forget_all() {
        user.runner.stop(&turn, scope);
    }
    user.contexts.forget_all();
    user.outbox.forget_all();
    user.store.erase()
}
