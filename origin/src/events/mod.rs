//! Events for user objects: what a change here means at the edge ([`shared::api::internal::user_event`]).
//!
//! - [`announced`]: the events of one request, which the front delivers before its client gets the answer
//! - [`edge`]: the Worker, as the origin calls it
//! - [`delivery`]: posts what the accounts keep until it is acknowledged
//!
//! An end of a session, a change of plan and the end of an account are stored by the statement that makes them, so that no
//! crash and no outage of the Worker loses one. A change of a conversation is only announced where the front is in between: a
//! cached context that is out of date is fetched again after ten minutes.

pub mod announced;
pub mod delivery;
pub mod edge;

pub use self::{announced::Announcements, delivery::EventDelivery};
