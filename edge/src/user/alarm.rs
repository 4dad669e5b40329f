//! The object's one alarm: heartbeat of running turns, retry of deliveries, and the end of retention.

use std::{cell::Cell, rc::Rc};

use shared::time::Timestamp;
use worker::State;

use crate::{log::Scope, platform};

/// The alarm, and its time as far as this process knows.
pub struct Alarm {
    state: Rc<State>,
    at: Cell<Option<Timestamp>>,
}

impl Alarm {
    /// Makes the alarm of this object.
    pub const fn new(state: Rc<State>) -> Self {
        Self { state, at: Cell::new(None) }
    }

    /// Ensures that it fires by this time. Called without an await after a write, it is part of the same transaction.
    pub async fn schedule(&self, at: Timestamp, scope: &Scope) {
        if self.at.get().is_some_and(|set| set <= at) {
            return;
        }
        self.at.set(Some(at));
        let offset_ms = at.millis_since(platform::now()).max(0);
        if let Err(error) = self.state.storage().set_alarm(offset_ms).await {
            self.at.set(None);
            scope.error("setting the alarm", &error);
        }
    }

    /// Clears its time: it fired.
    pub fn clear(&self) {
        self.at.set(None);
    }
}
