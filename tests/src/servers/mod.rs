//! The databases that the tests run on: PostgreSQL, a server that speaks MongoDB's protocol, Redis.
//!
//! - [`Server`]: one private server that can be killed, suspended and started again on the same data and address
//! - [`postgres`], [`redis`], [`mongo`]: how each is started, and how it is asked for its version
//! - `compose`: the same as containers, where an engine answers
//! - [`supply`]: the servers of a whole test run, which the binary `edgechat-servers` holds
//! - [`database`]: a database of its own for every test, on those servers
//!
//! Which programs there are is for `cargo xtask test` to find out; it tells by environment variables.

mod compose;
pub mod database;
pub mod mongo;
pub mod postgres;
pub mod redis;
pub mod supply;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::world::{part::Part, port::Port};
use compose::Service;

/// Whether what was acknowledged has to outlive the server's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every acknowledged write is on the disk.
    Durable,
    /// As fast as it gets: nothing is waited for.
    Fleeting,
}

/// What a server is.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct About {
    /// The product.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What tests on it cannot show, each in a few words; empty for the product itself.
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
    // Last, so that nobody writes there any more when it is deleted.
    _dir: TempDir,
}

/// How a server runs.
#[derive(Debug)]
enum Way {
    Program(Box<Part>),
    Container(Service),
}

impl Server {
    /// Starts the program that `part` makes of the server's folder and port.
    async fn program(name: &str, part: impl FnOnce(PathBuf, Port) -> (Part, String)) -> Self {
        let dir = tempfile::Builder::new().prefix(&format!("edgechat-{name}-")).tempdir();
        let dir = dir.expect("a temporary folder");
        let (mut part, url) = part(dir.path().to_owned(), Port::reserve());
        part.start().await;
        Self { way: Way::Program(Box::new(part)), url, _dir: dir }
    }

    /// Starts a service of the compose file; `url` makes its address of `HOST:PORT`.
    async fn container(name: &'static str, durability: Durability, url: impl FnOnce(&str) -> String) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = Port::reserve();
        let url = url(&port.addr());
        let mut service = Service::new(name, port, durability);
        service.start().await;
        Self { way: Way::Container(service), url, _dir: dir }
    }

    /// Its address, with the user and the database that it was made with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it runs as a container rather than as a program of this machine.
    pub fn is_container(&self) -> bool {
        matches!(self.way, Way::Container(_))
    }

    /// Ends it as `kill -9` does, with all processes it consists of.
    pub async fn kill(&mut self) {
        match &mut self.way {
            Way::Program(part) => part.kill().await,
            Way::Container(service) => service.kill().await,
        }
    }

    /// Starts it again, on the same address and the same data, and waits until it is ready.
    pub async fn start(&mut self) {
        match &mut self.way {
            Way::Program(part) => part.start().await,
            Way::Container(service) => service.start().await,
        }
    }

    /// Keeps all its processes from running: connections stay open and nobody answers.
    pub async fn suspend(&self) {
        match &self.way {
            Way::Program(part) => part.suspend().await,
            Way::Container(service) => service.suspend().await,
        }
    }

    /// Lets it run on.
    pub async fn resume(&self) {
        match &self.way {
            Way::Program(part) => part.resume(),
            Way::Container(service) => service.resume().await,
        }
    }
}

/// A program or file that `cargo xtask test` has found or built, and put under this name into the environment.
fn provided(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// As [`provided`].
///
/// # Panics
/// When it is not there.
fn required(variable: &str) -> String {
    provided(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run these tests by `cargo xtask test`"))
}
