//! How the Worker is started: plain workerd with both deployments of the one build, as production has them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use serde_json::Value;

use super::{
    Vars,
    part::{Launch, Part},
    port::Port,
};

/// The newest behaviour of the runtime that the Worker is built for; `wrangler.toml` names the same date.
pub(super) const COMPATIBILITY_DATE: &str = "2026-10-01";
/// The Worker's folder within the test's.
const FOLDER: &str = "edge";
/// Where the user objects are stored within it.
const OBJECTS: &str = "objects";
const MODULES: [&str; 2] = ["index.js", "index_bg.wasm"];
/// The variables that reach the Worker; the secret that tokens are signed with is none of them.
const VARIABLES: [&str; 14] = [
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
    "RATE_LIMIT_REQUESTS",
    "RATE_LIMIT_WINDOW_SECONDS",
    "STREAM_FLUSH_MS",
    "STREAM_PING_MS",
];

pub(super) fn part(dir: &Path, port: Port, vars: &Vars) -> Part {
    let folder = dir.join(FOLDER);
    fs::create_dir_all(folder.join(OBJECTS)).expect("a folder within the test's own");
    let build = built("EDGECHAT_EDGE_BUILD");
    for module in MODULES {
        copy(&build.join(module), &folder.join(module));
    }
    fs::write(folder.join("config.capnp"), config(&folder, &port, vars))
        .expect("a file in the test's folder");
    let launch = Launch {
        name: "workerd",
        program: built("EDGECHAT_WORKERD_BIN"),
        args: ["serve", "--control-fd=1", "config.capnp", "config"].map(str::to_owned).to_vec(),
        vars: Vec::new(),
        folder,
        user: None,
        is_ready,
    };
    Part::new(launch, port)
}

/// Deletes what the user objects stored; the runtime must not run.
pub(super) fn forget_objects(dir: &Path) {
    let objects = dir.join(FOLDER).join(OBJECTS);
    fs::remove_dir_all(&objects).and_then(|()| fs::create_dir(&objects)).expect("the objects' own folder");
}

/// Runs a statement in the database of every user object; the runtime must not run.
pub(super) fn change_objects(dir: &Path, statement: &str) {
    for path in stored_files(dir).iter().filter(|path| path.extension().is_some_and(|end| end == "sqlite")) {
        let database = Connection::open(path).expect("a database of a user object");
        // The runtime keeps databases of its own beside them, without these tables.
        if database.prepare("SELECT 1 FROM turns").is_ok() {
            database.execute(statement, ()).unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
}

/// Whether what the user objects stored holds this text. Each object has a database file and its journal.
pub(super) fn objects_hold(dir: &Path, text: &str) -> bool {
    // A file may go while it is looked for.
    stored_files(dir)
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

fn stored_files(dir: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![dir.join(FOLDER).join(OBJECTS)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// What `cargo xtask test` built and put under this name into the environment.
pub(super) fn built(variable: &str) -> PathBuf {
    let path = env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    path.unwrap_or_else(|| {
        panic!("{variable} does not name a built part: run these tests by `cargo xtask test`")
    })
}

/// The Worker's modules must lie beside the configuration that embeds them; a build that goes on meanwhile must not change
/// them.
fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("the built Worker lacks {}: {error}", from.display()));
}

pub(super) fn is_ready(line: &str) -> bool {
    serde_json::from_str::<Value>(line)
        .is_ok_and(|line| line["event"] == "listen" && line["socket"] == "http")
}

fn config(folder: &Path, port: &Port, vars: &Vars) -> String {
    let texts: Vec<_> = vars
        .iter()
        .filter(|(name, _)| VARIABLES.contains(name))
        .map(|(name, value)| format!("(name = {}, text = {})", quoted(name), quoted(value)))
        .collect();
    let texts = texts.join(", ");
    let modules = "modules = [(name = \"index.js\", esModule = embed \"index.js\"), \
                   (name = \"index_bg.wasm\", wasm = embed \"index_bg.wasm\")]";
    let common =
        format!("{modules}, compatibilityDate = {}, globalOutbound = \"net\"", quoted(COMPATIBILITY_DATE));
    format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (\n\
           services = [(name = \"front\", worker = .front), (name = \"user\", worker = .user),\n\
             (name = \"net\", network = (allow = [\"public\", \"private\"])),\n\
             (name = \"objects\", disk = (path = {objects}, writable = true))],\n\
           sockets = [(name = \"http\", address = {address}, http = (), service = \"front\")]\n\
         );\n\
         const front :Workerd.Worker = ({common}, bindings = [{texts},\n\
           (name = \"USERS\", durableObjectNamespace = (className = \"UserObject\", serviceName = \"user\"))]);\n\
         const user :Workerd.Worker = ({common}, bindings = [{texts}],\n\
           durableObjectNamespaces = [(className = \"UserObject\", uniqueKey = \"users\", enableSql = true)],\n\
           durableObjectStorage = (localDisk = \"objects\"));\n",
        objects = quoted(&folder.join(OBJECTS).display().to_string()),
        address = quoted(&port.addr()),
    )
}

/// A text of Cap'n Proto's configuration language.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted() {
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
    }
}
