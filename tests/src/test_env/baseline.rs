//! References that the benchmark measures beside EdgeChat's Worker: Workers written by hand in JavaScript, on the same plain
//! workerd.

use std::{fs, path::Path};

use rusqlite::{Connection, OptionalExtension};
use tempfile::TempDir;

use super::{
    part::Part,
    port::Port,
    runtime::{Measured, Watch, Workers, forget_objects, runtime, single, stored_files, watch},
};

const PROXY: (&str, &str) = ("proxy_baseline.js", include_str!("../../bench/proxy_baseline.js"));
const DURABLE: (&str, &str) = ("durable_baseline.js", include_str!("../../bench/durable_baseline.js"));

/// A running reference. It ends with the value.
#[derive(Debug)]
pub struct Baseline {
    part: Part,
    measured: Option<Measured>,
    dir: TempDir,
}

/// The settings of the durable baseline.
#[derive(Debug)]
pub struct DurableSetup {
    /// The origin's base URL.
    pub origin: String,
    /// The URL of the model.
    pub model_url: String,
    /// The key of the model's API.
    pub api_key: String,
    /// The key that requests to the origin are signed with.
    pub edge_key: String,
    /// The least milliseconds between two deltas; 0 makes each chunk a delta.
    pub flush_ms: u32,
}

/// A turn as stored by the durable baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaselineTurn {
    /// The answer, once complete.
    pub answer: Option<String>,
    /// Its last events.
    pub events: Option<String>,
    /// True when its delivery is recorded.
    pub delivered: bool,
}

impl Baseline {
    /// Starts the proxy baseline, which only proxies, in front of the origin at a base URL.
    ///
    /// # Panics
    /// Panics when the environment does not name the runtime, or it does not come up.
    pub async fn proxy(origin: &str) -> Self {
        let dir = folder(PROXY);
        let vars = [("ORIGIN", origin.to_owned())];
        let part = single("the proxy baseline", dir.path(), Port::reserve(), PROXY.0, &vars);
        Self::started(part, None, dir).await
    }

    /// Starts the durable baseline, which does a turn's work and checks nothing.
    ///
    /// # Panics
    /// Panics when the environment does not name the runtime, or it does not come up.
    pub async fn durable(setup: DurableSetup) -> Self {
        let dir = folder(DURABLE);
        let vars = [
            ("EDGE_KEYS", setup.edge_key),
            ("GEMINI_API_KEY", setup.api_key),
            ("MODEL_URL", setup.model_url),
            ("ORIGIN", setup.origin),
            ("STREAM_FLUSH_MS", setup.flush_ms.to_string()),
        ];
        let workers = Workers { main: DURABLE.0, wasm: None, vars: &vars };
        let measured = Measured::reserve();
        let part = runtime("the durable baseline", dir.path(), Port::reserve(), &workers, Some(&measured));
        Self::started(part, Some(measured), dir).await
    }

    async fn started(mut part: Part, measured: Option<Measured>, dir: TempDir) -> Self {
        part.start().await;
        Self { part, measured, dir }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        self.part.url()
    }

    /// The base URL of the counter of rows, where there is one.
    ///
    /// # Panics
    /// Panics when it is the proxy baseline.
    pub fn wrapper_url(&self) -> String {
        self.measured.as_ref().expect("a baseline with an object").wrapper.url()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.part.pid()
    }

    /// Kills the process as `kill -9` does.
    pub async fn kill(&mut self) {
        self.part.kill().await;
    }

    /// Starts it again, on the same address.
    pub async fn restart(&mut self) {
        self.part.start().await;
    }

    /// Restarts it watched and without its objects' storage; only the durable baseline can be.
    pub async fn restart_watched(&mut self, by: &Watch) {
        self.kill().await;
        forget_objects(self.dir.path());
        watch(&mut self.part, by);
        self.restart().await;
    }

    /// Prints the last lines of its log.
    pub fn print_log(&self) {
        self.part.log().print_tail();
    }

    /// Returns the stored turn of the object. It must be at rest: its files are copied.
    ///
    /// # Panics
    /// Panics when a file cannot be read.
    pub fn stored_turn(&self, turn_id: &str) -> Option<BaselineTurn> {
        let copies = tempfile::Builder::new().prefix("edgechat-baseline-").tempdir().expect("a folder");
        let files = stored_files(self.dir.path());
        for file in &files {
            let name = file.file_name().expect("a file has a name");
            fs::copy(file, copies.path().join(name)).expect("a file of an object at rest");
        }
        let databases = files.iter().filter(|file| file.extension().is_some_and(|end| end == "sqlite"));
        databases
            .filter_map(|file| file.file_name())
            .find_map(|name| turn_in(&copies.path().join(name), turn_id))
    }
}

/// The turn in one database; the runtime keeps some of its own, without turns.
fn turn_in(database: &Path, turn_id: &str) -> Option<BaselineTurn> {
    let database = Connection::open(database).expect("a database");
    let mut found =
        database.prepare("SELECT answer, events, delivered IS NOT NULL FROM turns WHERE id = ?").ok()?;
    let turn = found.query_row([turn_id], |row| {
        Ok(BaselineTurn { answer: row.get(0)?, events: row.get(1)?, delivered: row.get(2)? })
    });
    turn.optional().expect("a table of turns")
}

fn folder((name, script): (&str, &str)) -> TempDir {
    let dir = tempfile::Builder::new().prefix("edgechat-baseline-").tempdir().expect("a temporary folder");
    fs::write(dir.path().join(name), script).expect("a file in the own folder");
    dir
}
