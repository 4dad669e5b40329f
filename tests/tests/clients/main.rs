//! Tests of EdgeChat with third-party clients and validators: an environment per test, and a program in the client's
//! language that does a user's main job. `cargo xtask test` installs what they need, skips the languages a machine lacks,
//! and runs these tests.
//!
//! - `browser`, `curl`, `go`, `java`, `node`, `python`: tests that need that program; these names select what a machine skips
//! - `python_identity`: Google and Apple, played by a program in Python
//! - `python_mail`: e-mail, received by a server in Python
//! - `generated`: clients generated from the API's description
//! - `authenticator`: an authenticator for passkeys; `tools`: paths of the programs
//!
//! The programs lie in `tests/clients`.

// The origin's tests have the same one.
#[cfg(test)]
#[path = "../../../origin/src/tests/authenticator.rs"]
mod authenticator;
#[cfg(test)]
mod browser;
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
mod python_identity;
#[cfg(test)]
mod python_mail;
#[cfg(test)]
mod tools;
