//! The user object: one Durable Object a user, holding all that must be exact for that user. It is a write-ahead log and a
//! cache; the origin stays the system of record.
//!
//! Calls go one way, and each component owns its state:
//!
//! - [`object`]: the Durable Object, which wires the components
//! - [`handlers`]: requests of clients and the front, one file a resource
//! - [`admission`], [`queue`]: requests for a turn, and those that wait
//! - [`runner`], [`begin`]: a turn from its begin to its end
//! - [`contexts`], [`sessions`], [`limits`]: the inputs of a turn
//! - [`live_turn`], [`live_turns`]: turns in memory and their readers
//! - [`journal`]: storage of the events of a running turn
//! - [`store`]: the object's SQLite tables
//! - [`outbox`]: delivery of ended turns to the origin
//! - [`alarm`]: the object's one alarm
//! - [`memory`]: bytes that the objects of an isolate hold

mod admission;
mod alarm;
mod begin;
mod contexts;
mod handlers;
mod journal;
mod limits;
mod live_turn;
mod live_turns;
mod memory;
mod object;
mod outbox;
mod queue;
mod runner;
mod sessions;
mod store;

use serde::{Deserialize, Serialize};
use shared::{
    api::{account::Plan, internal::user_event::AddressedEvent},
    id::Id,
    telemetry::TraceContext,
    time::Timestamp,
};

pub use self::handlers::turns::{event_cursor, no_content};
use crate::origin::OnBehalf;

/// The header with the front's results: a [`Handover`]. It never leaves the platform; the front overwrites a client's header of
/// this name, and only the front reaches the object.
pub const HANDOVER: &str = "X-EdgeChat-Handover";

/// The front's data that accompanies a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Handover {
    /// A request of a client.
    Request {
        /// The caller.
        identity: Identity,
        /// The id of the request.
        request_id: String,
        /// The headers that the answer carries, as [`crate::platform::HeaderLines`] has them.
        dress: String,
        /// The span of the request; none without traces.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<TraceContext>,
    },
    /// Events of the origin; the rest of the request is ignored.
    Events {
        /// The user.
        user_id: Id,
        /// The id of the request.
        request_id: String,
        /// The events of this user.
        events: Vec<AddressedEvent>,
    },
}

/// The caller, as the front verified it.
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
    /// The time at which the token was found valid. A turn of this request begins then: the origin checks a delivery against it.
    pub verified_at: Timestamp,
}

impl Identity {
    /// Returns the part of it that a request to the origin carries.
    pub fn on_behalf(&self) -> OnBehalf<'_> {
        OnBehalf { token: &self.token, client_ip: &self.client_ip }
    }
}
