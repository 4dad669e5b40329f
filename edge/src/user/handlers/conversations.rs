//! Conversations that changed at the origin, as the front reports them.

use shared::{chat::turn::TurnOutcome, id::Id};
use worker::{Response, Result};

use crate::{log::Scope, user::object::User};

/// A conversation changed: what is cached of it is wrong.
pub fn changed(user: &User, conversation: Id) -> Result<Response> {
    user.contexts.forget(conversation)?;
    Response::empty()
}

/// A conversation was deleted: what runs in it stops, what is known of it goes.
pub fn deleted(user: &User, conversation: Id, scope: &Scope) -> Result<Response> {
    user.contexts.forget(conversation)?;
    user.store.erase_turns(conversation)?;
    for turn in user.turns.forget_conversation(conversation) {
        user.runner.end(&turn, TurnOutcome::Cancelled, scope);
        turn.cut_off();
    }
    Response::empty()
}
