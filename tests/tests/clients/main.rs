//! EdgeChat used by clients, and judged by tools, that know nothing of it: a world of its own for every test, and a program
//! in the client's own language that does a person's main job. `cargo xtask test` installs what they need, leaves out what
//! a machine has no language for, and runs this.
//!
//! - `curl`, `go`, `java`, `node`, `python`: what needs that language; what a machine lacks is left out by these names
//! - `generated`: clients made from the API's own description
//! - `tools`: where the programs are
//!
//! The programs lie in `tests/clients`.

#[cfg(test)]
mod curl;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod go;
#[cfg(test)]
mod java;
#[cfg(test)]
mod node;
#[cfg(test)]
mod python;
#[cfg(test)]
mod tools;
