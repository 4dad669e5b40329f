//! The start of the Worker: plain workerd with both deployments of the one build, as in production.
//!
//! - [`runtime`]: its configuration and its process

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    Vars,
    part::Part,
    port::Port,
    runtime::{self, Measured, Workers, stored_files},
};

/// The Worker's folder within the test's.
const FOLDER: &str = "edge";
const MODULES: [&str; 2] = ["index.js", "index_bg.wasm"];
/// The variables that are passed to the Worker, without the secret that tokens are signed with.
const VARIABLES: [&str; 23] = [
    "BASIC_TIER_DAILY_LIMIT",
    "CORS_ALLOWED_HEADERS",
    "CORS_ORIGINS",
    "DEFAULT_MODEL",
    "EDGECHAT_ENV",
    "EDGE_KEYS",
    "FAULT_INJECTION",
    "GEMINI_API_BASE",
    "GEMINI_API_KEY",
    "ORIGIN_URL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER_ARG",
    "OUTBOX_MAX_TURNS",
    "PROVIDER_FIRST_BYTE_MS",
    "PROVIDER_STALL_MS",
    "PROVIDER_TRACEPARENT",
    "RATE_LIMIT_REQUESTS",
    "RATE_LIMIT_WINDOW_SECONDS",
    "STREAM_FLUSH_MS",
    "STREAM_PING_MS",
    "STREAM_STALL_MS",
];

pub(super) fn part(dir: &Path, port: Port, vars: &Vars, measured: Option<&Measured>) -> Part {
    let folder = dir.join(FOLDER);
    fs::create_dir_all(&folder).expect("a folder within the test's own");
    let build = built("EDGECHAT_EDGE_BUILD");
    for module in MODULES {
        copy(&build.join(module), &folder.join(module));
    }
    let vars = vars.iter().filter(|(name, _)| VARIABLES.contains(name));
    let vars: Vec<_> = vars.map(|(name, value)| (*name, value.clone())).collect();
    let workers = Workers { main: MODULES[0], wasm: Some(MODULES[1]), vars: &vars };
    runtime::runtime("workerd", &folder, port, &workers, measured)
}

/// Deletes the user objects' storage; the runtime must not run.
pub(super) fn forget_objects(dir: &Path) {
    runtime::forget_objects(&dir.join(FOLDER));
}

/// Runs a statement in the database of every user object; the runtime must not run.
pub(super) fn change_objects(dir: &Path, statement: &str) {
    for database in object_databases(dir) {
        database.execute(statement, ()).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// Returns the rows of a query of one column, of text, from the database of every user object; the runtime must not run.
pub(super) fn query_objects(dir: &Path, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    for database in object_databases(dir) {
        let mut statement = database.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let rows = statement.query_map((), |row| row.get(0)).expect("rows");
        found.extend(rows.map(|row| row.expect("a text")));
    }
    found
}

/// Opens the database of every user object. The runtime keeps its own databases beside them, without these tables.
fn object_databases(dir: &Path) -> Vec<Connection> {
    stored_files(&dir.join(FOLDER))
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "sqlite"))
        .map(|path| Connection::open(path).expect("a database of a user object"))
        .filter(|database| database.prepare("SELECT 1 FROM turns").is_ok())
        .collect()
}

/// Returns true when the user objects' storage has this text. Each object has a database file and its journal.
pub(super) fn objects_hold(dir: &Path, text: &str) -> bool {
    // A file may be deleted meanwhile.
    stored_files(&dir.join(FOLDER))
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// The path of a part that `cargo xtask test` built and passes in this environment variable.
pub(super) fn built(variable: &str) -> PathBuf {
    let path = env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    path.unwrap_or_else(|| {
        panic!("{variable} does not name a built part: run these tests by `cargo xtask test`")
    })
}

/// Copies the Worker's modules to the configuration that embeds them, so that a concurrent build does not change them.
fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("the built Worker lacks {}: {error}", from.display()));
}
