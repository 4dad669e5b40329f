//! The platform's floor: plain workerd with a Worker written by hand in JavaScript that only proxies. What EdgeChat's
//! Worker costs is told beside what this one costs.

use std::fs;

use tempfile::TempDir;

use super::{
    part::{Launch, Part},
    port::Port,
    workerd::{COMPATIBILITY_DATE, built, is_ready, quoted},
};

const SCRIPT: &str = include_str!("../../bench/floor.js");

/// A running Worker that only proxies. It ends with the value.
#[derive(Debug)]
pub struct Floor {
    part: Part,
    _dir: TempDir,
}

impl Floor {
    /// Starts it in front of an origin and a provider, which are named by their base URLs.
    ///
    /// # Panics
    /// When the environment does not name the runtime, or it does not come up.
    pub async fn start(origin: &str, provider: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("edgechat-floor-").tempdir().expect("a temporary folder");
        let port = Port::reserve();
        fs::write(dir.path().join("floor.js"), SCRIPT).expect("a file in the own folder");
        fs::write(dir.path().join("config.capnp"), config(&port, origin, provider))
            .expect("a file in the own folder");
        let launch = Launch {
            name: "the floor",
            program: built("EDGECHAT_WORKERD_BIN"),
            args: ["serve", "--control-fd=1", "config.capnp", "config"].map(str::to_owned).to_vec(),
            vars: Vec::new(),
            folder: dir.path().to_owned(),
            user: None,
            is_ready,
        };
        let mut part = Part::new(launch, port);
        part.start().await;
        Self { part, _dir: dir }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        self.part.url()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.part.pid()
    }

    /// Ends the process as `kill -9` does.
    pub async fn kill(&mut self) {
        self.part.kill().await;
    }

    /// Starts it again, on the same address.
    pub async fn restart(&mut self) {
        self.part.start().await;
    }
}

fn config(port: &Port, origin: &str, provider: &str) -> String {
    format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (\n\
           services = [(name = \"floor\", worker = .floor),\n\
             (name = \"net\", network = (allow = [\"public\", \"private\"]))],\n\
           sockets = [(name = \"http\", address = {address}, http = (), service = \"floor\")]\n\
         );\n\
         const floor :Workerd.Worker = (\n\
           modules = [(name = \"floor.js\", esModule = embed \"floor.js\")],\n\
           compatibilityDate = {date}, globalOutbound = \"net\",\n\
           bindings = [(name = \"ORIGIN\", text = {origin}), (name = \"PROVIDER\", text = {provider})]);\n",
        address = quoted(&port.addr()),
        date = quoted(COMPATIBILITY_DATE),
        origin = quoted(origin),
        provider = quoted(provider),
    )
}
