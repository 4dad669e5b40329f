//! The events of one request.

use std::sync::{Arc, Mutex, PoisonError};

use shared::api::internal::user_event::AddressedEvent;

/// An event that a request caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The event.
    pub event: AddressedEvent,
    /// True when the accounts keep it until it is acknowledged.
    pub is_stored: bool,
}

/// Collects the events of one request. Clones collect into one list.
#[derive(Clone, Debug, Default)]
pub struct Announcements(Arc<Mutex<Vec<Announced>>>);

impl Announcements {
    /// Adds an event that is stored nowhere.
    pub fn add(&self, event: AddressedEvent) {
        self.push(Announced { event, is_stored: false });
    }

    /// Adds an event that the accounts keep.
    pub fn add_stored(&self, event: AddressedEvent) {
        self.push(Announced { event, is_stored: true });
    }

    /// Returns the events so far, once.
    pub fn take(&self) -> Vec<Announced> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, announced: Announced) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(announced);
    }
}
