//! Tests of EdgeChat as a client sees it: a real origin, the built Worker on plain workerd and a scripted provider, with a
//! environment per test. `cargo xtask test` builds the parts and runs these tests.
//!
//! - `main_job`: register, open a conversation, send a message, read it back, count it
//! - `streaming`: text arrives as the provider sends it, however the network splits it
//! - `idempotency`: the same key returns the same turn
//! - `turns`: readers connect, disconnect and reconnect; cancelling ends a turn
//! - `branches`: a conversation is a tree
//! - `concurrency`: concurrent messages
//! - `chaos`: processes are killed at each kind of moment
//! - `outages`: processes fail during a turn and recover
//! - `kill_drills`: workerd is killed at each step of a turn
//! - `store_chaos`: private databases of the production stores are killed, suspended and restarted
//! - `provider_failures`: every way a provider fails
//! - `identity`: tokens, and what is not yours
//! - `requests`: malformed, too large, wrong; request ids; CORS
//! - `limits`: too much
//! - `deliveries`: the Worker's own way to the origin, walked by hand
//! - `knowledge`: what the Worker knows of the origin's, and when it asks anew
//! - `proxy`: what passes through to the origin
//! - `surface`: the routes of the table, health, documentation
//! - `rotation`: the secret behind tokens is replaced
//! - `scripted_provider`: the provider the others rely on
//! - `platform`: what the user object leaves to the platform, and what the platform refuses
//! - `metrics`: the figures on the origin's private port
//! - `traces`: spans of all parts in one tree
//! - `baseline`: the reference that the benchmark relies on

#[cfg(test)]
mod baseline;
#[cfg(test)]
mod branches;
#[cfg(test)]
mod caching;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod kill_drills;
#[cfg(test)]
mod limits;
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
mod requests;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod scripted_provider;
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
