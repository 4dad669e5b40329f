//! The dependency rule, read from `cargo metadata` and from the sources: `edge → shared ← origin`, and within the origin
//! `routes → domain → ports ← adapters`, without circles.
//!
//! - `crates`: the dependencies of the packages, and the order of the modules of `shared`
//! - `circles`: imports between the modules of a crate
//! - `layers`: adapters, databases and HTTP within the origin
//! - `source`: the sources and the paths in them

#[cfg(test)]
mod circles;
#[cfg(test)]
mod crates;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod source;
