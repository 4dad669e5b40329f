//! Plain workerd: a front and a user object as two Workers of one build, in one process, and instruments that count what
//! the process does.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    part::{Launch, Part, on_path},
    port::Port,
    workerd::built,
};

/// The compatibility date of the Worker; `wrangler.toml` has the same.
const COMPATIBILITY_DATE: &str = "2026-10-01";
/// The folder of the objects' storage, within the runtime's folder.
const OBJECTS: &str = "objects";
/// The name of the object's class.
const CLASS: &str = "UserObject";

const CONFIG: &str = "config.capnp";
const COUNTING_CONFIG: &str = "counting.capnp";
const PROBING_CONFIG: &str = "probing.capnp";
/// The module that compose runs in front of the front.
const CLIENT_IP_PROXY: (&str, &str) =
    ("client_ip_proxy.js", include_str!("../../../edge/client_ip_proxy.js"));
const COUNTER: (&str, &str) = ("row_counter.js", include_str!("../../bench/row_counter.js"));
const PROBE: (&str, &str) = ("object_probe.js", include_str!("object_probe.js"));
/// The name under which [`COUNTER`] and [`PROBE`] import what they wrap.
const WRAPPED: &str = "worker.js";

/// Calls of the system that [`Watch::Disk`] logs.
const DISK_CALLS: &str = "trace=fsync,fdatasync,pwrite64,pwritev,pwritev2";

/// Addresses for measurements and probes.
#[derive(Debug)]
pub(super) struct Measured {
    /// The address of `client_ip_proxy.js`, in front of the front.
    pub(super) client_ip_proxy: Port,
    /// The address of the user object's wrapper, when the runtime is started with one.
    pub(super) wrapper: Port,
}

impl Measured {
    /// Takes free addresses.
    pub(super) fn reserve() -> Self {
        Self { client_ip_proxy: Port::reserve(), wrapper: Port::reserve() }
    }
}

/// The instrument of the runtime from its next start on.
#[derive(Clone, Debug)]
pub enum Watch {
    /// No instrument.
    Off,
    /// `strace`, which logs the calls that write to a disk or wait for it.
    Disk(PathBuf),
    /// The runtime's trace of its isolates, and the counter of rows in front of the user object.
    Isolates(PathBuf),
    /// A wrapper that reports the user object's timers, calls and streams, and can make its storage refuse writes.
    Probe,
}

impl Watch {
    /// Returns true when this machine supports it.
    pub fn is_possible(&self) -> bool {
        !matches!(self, Self::Disk(_)) || on_path("strace").is_some()
    }
}

/// The two Workers of one build.
pub(super) struct Workers<'a> {
    /// The module that exports the front and the class of the object: its name and its file.
    pub(super) main: &'static str,
    /// Its WebAssembly, if any.
    pub(super) wasm: Option<&'static str>,
    /// The variables of both.
    pub(super) vars: &'a [(&'static str, String)],
}

/// Configures the process of the runtime. The modules are in `folder` already.
pub(super) fn runtime(
    name: &'static str,
    folder: &Path,
    port: Port,
    workers: &Workers<'_>,
    measured: Option<&Measured>,
) -> Part {
    fs::create_dir_all(folder.join(OBJECTS)).expect("a folder within the own one");
    write(folder, CONFIG, &config(folder, &port, workers, measured, None));
    if let Some(measured) = measured {
        for (name, script) in [CLIENT_IP_PROXY, COUNTER, PROBE] {
            write(folder, name, script);
        }
        for (name, (wrapper, _)) in [(COUNTING_CONFIG, COUNTER), (PROBING_CONFIG, PROBE)] {
            write(folder, name, &config(folder, &port, workers, Some(measured), Some(wrapper)));
        }
    }
    let program = built("EDGECHAT_WORKERD_BIN");
    let args = args(&[], CONFIG);
    let folder = folder.to_owned();
    Part::new(Launch { name, program, args, vars: Vec::new(), folder, user: None, is_ready }, port)
}

/// Configures a Worker of one module, without objects.
pub(super) fn single(
    name: &'static str,
    folder: &Path,
    port: Port,
    module: &str,
    vars: &[(&'static str, String)],
) -> Part {
    let mut config = Config::default();
    config.socket("http", &port, "worker");
    config.worker(
        "worker",
        &format!("modules = [{}], bindings = [{}]", es_module(module, module), texts(vars)),
    );
    write(folder, CONFIG, &config.to_string());
    let program = built("EDGECHAT_WORKERD_BIN");
    let args = args(&[], CONFIG);
    let folder = folder.to_owned();
    Part::new(Launch { name, program, args, vars: Vec::new(), folder, user: None, is_ready }, port)
}

/// Sets the instrument of a runtime with [`Measured`] from its next start on.
pub(super) fn watch(part: &mut Part, watch: &Watch) {
    let workerd = built("EDGECHAT_WORKERD_BIN");
    let text = |path: &Path| path.display().to_string();
    match watch {
        Watch::Off => part.set_command(workerd, args(&[], CONFIG)),
        Watch::Disk(log) => {
            let strace = on_path("strace").expect("strace is on the path where it is asked for");
            // As a grandchild, so that the runtime keeps the id of the started process.
            let mut all: Vec<_> =
                ["-D", "-f", "-qq", "--seccomp-bpf", "-s", "0", "-e", "signal=none", "-e", DISK_CALLS, "-o"]
                    .map(str::to_owned)
                    .to_vec();
            all.extend([text(log), text(&workerd)]);
            all.extend(args(&[], CONFIG));
            part.set_command(strace, all);
        }
        Watch::Isolates(log) => {
            part.set_command(workerd, args(&["--async-trace", &text(log)], COUNTING_CONFIG));
        }
        Watch::Probe => part.set_command(workerd, args(&[], PROBING_CONFIG)),
    }
}

/// Deletes the objects' storage of the runtime in this folder, which must not run.
pub(super) fn forget_objects(folder: &Path) {
    let objects = folder.join(OBJECTS);
    fs::remove_dir_all(&objects).and_then(|()| fs::create_dir(&objects)).expect("the objects' own folder");
}

/// Lists the files of the objects' storage of the runtime in this folder.
pub(super) fn stored_files(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.join(OBJECTS)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

fn args(options: &[&str], config: &str) -> Vec<String> {
    let args = ["serve", "--control-fd=1"].into_iter().chain(options.iter().copied());
    args.chain([config, "config"]).map(str::to_owned).collect()
}

fn is_ready(line: &str) -> bool {
    serde_json::from_str::<Value>(line)
        .is_ok_and(|line| line["event"] == "listen" && line["socket"] == "http")
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("a file in the own folder");
}

fn config(
    folder: &Path,
    port: &Port,
    workers: &Workers<'_>,
    measured: Option<&Measured>,
    wrapper: Option<&'static str>,
) -> String {
    let Workers { main, wasm, vars } = *workers;
    let texts = texts(vars);
    let wasm = wasm.map_or_else(String::new, |wasm| {
        format!(", (name = {wasm}, wasm = embed {wasm})", wasm = quoted(wasm))
    });
    let mut config = Config::default();
    config.services.push(format!(
        "(name = \"objects\", disk = (path = {}, writable = true))",
        quoted(&folder.join(OBJECTS).display().to_string())
    ));
    let users = |name: &str| {
        format!(
            "(name = \"{name}\", durableObjectNamespace = (className = \"{CLASS}\", serviceName = \"user\"))"
        )
    };
    // The socket whose line reports readiness comes last.
    if let Some(measured) = measured {
        config.socket("gate", &measured.client_ip_proxy, "gate");
        config.worker(
            "gate",
            &format!(
                "modules = [{}], bindings = [(name = \"FRONT\", service = \"front\"), \
                 (name = \"CLIENT_IP_HEADER\", text = \"\")]",
                es_module(CLIENT_IP_PROXY.0, CLIENT_IP_PROXY.0)
            ),
        );
    }
    config.worker(
        "front",
        &format!("modules = [{}{wasm}], bindings = [{texts}{}]", es_module(main, main), users("USERS")),
    );
    let (modules, more) = match wrapper.zip(measured) {
        None => (es_module(main, main), String::new()),
        Some((wrapper, measured)) => {
            config.socket("wrapper", &measured.wrapper, "user");
            let modules = [es_module(wrapper, wrapper), es_module(WRAPPED, main)].join(", ");
            (modules, users("OBJECTS"))
        }
    };
    config.worker(
        "user",
        &format!(
            "modules = [{modules}{wasm}], bindings = [{texts}{more}], \
             durableObjectNamespaces = [(className = \"{CLASS}\", uniqueKey = \"users\", enableSql = true)], \
             durableObjectStorage = (localDisk = \"objects\")"
        ),
    );
    config.socket("http", port, "front");
    config.to_string()
}

/// Bindings of texts, each followed by a comma.
fn texts(vars: &[(&'static str, String)]) -> String {
    let text =
        |(name, value): &(&str, String)| format!("(name = {}, text = {}), ", quoted(name), quoted(value));
    vars.iter().map(text).collect::<Vec<_>>().concat()
}

fn es_module(name: &str, file: &str) -> String {
    format!("(name = {}, esModule = embed {})", quoted(name), quoted(file))
}

/// A configuration of the runtime.
#[derive(Default)]
struct Config {
    services: Vec<String>,
    sockets: Vec<String>,
    constants: Vec<String>,
}

impl Config {
    fn socket(&mut self, name: &str, port: &Port, service: &str) {
        let address = quoted(&port.addr());
        self.sockets
            .push(format!("(name = \"{name}\", address = {address}, http = (), service = \"{service}\")"));
    }

    fn worker(&mut self, name: &str, body: &str) {
        self.services.push(format!("(name = \"{name}\", worker = .{name})"));
        let date = quoted(COMPATIBILITY_DATE);
        self.constants.push(format!(
            "const {name} :Workerd.Worker = ({body}, compatibilityDate = {date}, globalOutbound = \"net\");\n"
        ));
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (\n\
               services = [{}, (name = \"net\", network = (allow = [\"public\", \"private\"]))],\n\
               sockets = [{}]\n\
             );\n{}",
            self.services.join(", "),
            self.sockets.join(", "),
            self.constants.concat()
        )
    }
}

/// Quotes a text for Cap'n Proto's configuration language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted() {
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
    }
}
