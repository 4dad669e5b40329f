//! The user object: one Durable Object a user, holding all that must be exact for that user. It is a write-ahead log and a
//! cache; the origin stays the system of record.
//!
//! Calls go one way, and each component owns its state:
//!
//! - [`object`]: the Durable Object, which wires the components
//! - [`handlers`]: what clients and the front ask for, one file a resource
//! - [`runner`]: a turn from its admission to its end
//! - [`contexts`], [`sessions`], [`limits`]: what a turn needs to know
//! - [`live_turn`], [`live_turns`]: turns in memory and their readers
//! - [`journal`]: the events of a turn that runs, on their way to storage
//! - [`store`]: what of it is in SQLite
//! - [`outbox`]: from the end of a turn to the origin, until the origin has it
//! - [`alarm`]: the object's one alarm
//! - [`memory`]: bytes that the objects of an isolate hold

mod alarm;
mod contexts;
mod handlers;
mod journal;
mod limits;
mod live_turn;
mod live_turns;
mod memory;
mod object;
mod outbox;
mod runner;
mod sessions;
mod store;

use serde::{Deserialize, Serialize};
use shared::{
    api::{account::Plan, internal::user_event::AddressedEvent},
    id::Id,
    time::Timestamp,
};

pub use self::handlers::turns::{event_cursor, nothing_follows};
use crate::origin::OnBehalf;

/// The header in which the front hands over what it found: a [`Handover`]. It never leaves the platform; the front puts its own
/// over one that a client sent, and nobody but the front reaches the object.
pub const HANDOVER: &str = "X-EdgeChat-Handover";

/// The words of the front that go with a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Handover {
    /// A client asks.
    Request {
        /// The one who asks.
        identity: Identity,
        /// The id of the request.
        request_id: String,
        /// The headers that the answer carries, as [`crate::platform::HeaderLines`] has them.
        dress: String,
    },
    /// The origin tells something, whatever the request is.
    Events {
        /// The user.
        user_id: Id,
        /// The id of the request.
        request_id: String,
        /// The events of this user.
        events: Vec<AddressedEvent>,
    },
}

/// Who asks, as the front verified it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub user_id: Id,
    /// Their session.
    pub session_id: Id,
    /// Their plan.
    pub plan: Plan,
    /// The client's address.
    pub client_ip: String,
    /// The access token.
    pub token: String,
    /// The time at which the token was issued, in whole seconds.
    pub issued_at: Timestamp,
    /// The time at which the token was found valid. A turn of this request begins then: the origin holds a delivery to it.
    pub verified_at: Timestamp,
}

impl Identity {
    /// Returns what a request to the origin carries of it.
    pub fn on_behalf(&self) -> OnBehalf<'_> {
        OnBehalf { token: &self.token, client_ip: &self.client_ip }
    }
}
