//! The databases of the tests: PostgreSQL, a server with MongoDB's protocol, Redis.
//!
//! - [`Server`]: one private server that can be killed, suspended and started again on the same data and address
//! - [`postgres`], [`redis`], [`mongo`]: start a server and read its version
//! - `compose`: the same as containers, where an engine answers
//! - [`supply`]: the servers of a whole test run, which the binary `edgechat-servers` runs
//! - [`database`]: a database per test, on those servers
//!
//! `cargo xtask test` finds the installed programs and sets environment variables for them.

mod compose;
pub mod database;
pub mod mongo;
pub mod postgres;
pub mod redis;
pub mod supply;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::test_env::{part::Part, port::Port};
use compose::Service;

/// The durability of acknowledged writes when the server's process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every acknowledged write is on disk.
    Durable,
    /// As fast as possible: no write waits for the disk.
    Fleeting,
}

/// The product and version of a server.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct About {
    /// The product.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Limits of tests on this server, each in a few words; empty for the product itself.
    pub cannot_show: Vec<String>,
}

impl About {
    fn new(name: &str, version: impl Into<String>, cannot_show: &[&str]) -> Self {
        let cannot_show = cannot_show.iter().map(|&what| what.to_owned()).collect();
        Self { name: name.to_owned(), version: version.into(), cannot_show }
    }
}

/// A private server in a folder of its own. It ends with the value.
#[derive(Debug)]
pub struct Server {
    way: Way,
    url: String,
    // Last, so that the process has ended when the folder is deleted.
    _dir: TempDir,
}

/// The way a server runs.
#[derive(Debug)]
enum Way {
    Program(Box<Part>),
    Container(Service),
}

impl Server {
    /// Starts the program that `part` creates for the server's folder and port.
    async fn program(name: &str, part: impl FnOnce(PathBuf, Port) -> (Part, String)) -> Self {
        let dir = tempfile::Builder::new().prefix(&format!("edgechat-{name}-")).tempdir();
        let dir = dir.expect("a temporary folder");
        let (mut part, url) = part(dir.path().to_owned(), Port::reserve());
        part.start().await;
        Self { way: Way::Program(Box::new(part)), url, _dir: dir }
    }

    /// Starts a service of the compose file; `url` builds its address from `HOST:PORT`.
    async fn container(name: &'static str, durability: Durability, url: impl FnOnce(&str) -> String) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = Port::reserve();
        let url = url(&port.addr());
        let mut service = Service::new(name, port, durability);
        service.start().await;
        Self { way: Way::Container(service), url, _dir: dir }
    }

    /// The address, with the user and the database that it was created with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns true when the server runs as a container rather than as a program of this machine.
    pub fn is_container(&self) -> bool {
        matches!(self.way, Way::Container(_))
    }

    /// Kills all its processes as `kill -9` does.
    pub async fn kill(&mut self) {
        match &mut self.way {
            Way::Program(part) => part.kill().await,
            Way::Container(service) => service.kill().await,
        }
    }

    /// Starts it again, with the same address and data, and waits until it is ready.
    pub async fn start(&mut self) {
        match &mut self.way {
            Way::Program(part) => part.start().await,
            Way::Container(service) => service.start().await,
        }
    }

    /// Suspends all its processes: connections stay open without answers.
    pub async fn suspend(&self) {
        match &self.way {
            Way::Program(part) => part.suspend().await,
            Way::Container(service) => service.suspend().await,
        }
    }

    /// Resumes all its processes.
    pub async fn resume(&self) {
        match &self.way {
            Way::Program(part) => part.resume(),
            Way::Container(service) => service.resume().await,
        }
    }
}

/// A program or file that `cargo xtask test` has found or built and passes in this environment variable.
fn provided(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Does the same as [`provided`].
///
/// # Panics
/// Panics when the variable is not set.
fn required(variable: &str) -> String {
    provided(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run these tests by `cargo xtask test`"))
}
