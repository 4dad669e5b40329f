//! Tests of EdgeChat as a client sees it: a real origin, the built Worker on plain workerd and a scripted provider, with an
//! environment per test. `cargo xtask test` builds the parts and runs these tests.
//!
//! - `account`: sessions, profile, audit trail and consents of a user
//! - `deletion`, `export`: the end of an account, and all that is stored of it
//! - `main_job`: register, open a conversation, send a message, read it back, count it
//! - `streaming`: text arrives as the provider sends it, however the network splits it
//! - `idempotency`: the same key returns the same turn
//! - `turns`: readers connect and disconnect; cancelling ends a turn
//! - `consents`: documents that are agreed to before a model is called
//! - `cursors`: readers resume at a cursor
//! - `branches`: a conversation is a tree
//! - `lifecycle`: conversations and messages are deleted and come back
//! - `concurrency`: concurrent messages
//! - `chaos`: processes are killed at each kind of moment
//! - `back_pressure`: bounds on what waits for readers and for the origin
//! - `outages`: the origin fails during a turn and recovers
//! - `worker_crashes`: the Worker crashes or restarts during a turn
//! - `kill_drills`: workerd is killed at each step of a turn
//! - `store_chaos`: private databases of the production stores are killed, suspended and restarted
//! - `endings`: every way in which an answer can end, in a table
//! - `provider_failures`, `model_endings`: provider failures, and finish reasons of the model
//! - `forged_tokens`: forged and mangled tokens on every route
//! - `social`: sign-in with Google and Apple, and guests; `id_tokens`: the tokens of both
//! - `identity`: tokens, and objects of other users
//! - `requests`, `bodies`, `cors`: request heads and ids, request bodies, CORS
//! - `limits`: rate limits and daily quotas
//! - `deliveries`: the Worker's own way to the origin, walked by hand
//! - `caching`: the sessions and contexts that the Worker caches
//! - `user_events`: events of the account that reach the user object
//! - `proxy`: requests that pass through to the origin
//! - `surface`: the routes of the table, health, documentation
//! - `rotation`: the secret behind tokens is replaced
//! - `scripted_provider`: the provider the others rely on
//! - `mail_links`: pages that links of mails open, and suspended users
//! - `platform`: rules that the user object leaves to the platform
//! - `metrics`: the figures on the origin's private port
//! - `traces`: spans of all parts in one tree
//! - `baseline`: the reference that the benchmark relies on

#[cfg(test)]
mod account;
#[cfg(test)]
mod back_pressure;
#[cfg(test)]
mod baseline;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod branches;
#[cfg(test)]
mod caching;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod consents;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod cursors;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod export;
#[cfg(test)]
mod forged_tokens;
// The origin's tests have the same ones.
#[cfg(test)]
#[path = "../../../origin/src/tests/id_tokens.rs"]
mod id_tokens;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod kill_drills;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mail_links;
#[cfg(test)]
mod main_job;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod model_endings;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod platform;
#[cfg(test)]
mod provider_failures;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod scripted_provider;
#[cfg(test)]
mod social;
#[cfg(test)]
mod store_chaos;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod surface;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod user_events;
#[cfg(test)]
mod worker_crashes;
