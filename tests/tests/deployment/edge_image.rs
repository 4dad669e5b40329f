//! Tests of the edge's image, which runs here outside a container.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use edgechat_tests::{
    client::Client,
    test_env::{EDGE_KEY, TestEnv},
    wait::bounded,
};
use serde_json::Value;
use shared::api::{ErrorCode, chat::TurnStatus};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::repository::root;

/// The edge's image without a container: its files in a folder, its script as a process.
struct Edge {
    url: String,
    _process: Child,
    _folder: TempDir,
}

fn script(folder: &Path, vars: &[(&str, &str)]) -> Command {
    let part = |name: &str| {
        let path = env::var_os(name).map(PathBuf::from).filter(|path| path.exists());
        path.unwrap_or_else(|| {
            panic!("{name} does not name a built part: run these tests by `cargo xtask test`")
        })
    };
    for inner in ["app/build", "bin", "objects"] {
        fs::create_dir_all(folder.join(inner)).unwrap();
    }
    for file in ["workerd.capnp", "client_ip_proxy.js", "start.sh"] {
        fs::copy(root().join("edge").join(file), folder.join("app").join(file)).unwrap();
    }
    for module in ["index.js", "index_bg.wasm"] {
        fs::copy(part("EDGECHAT_EDGE_BUILD").join(module), folder.join("app/build").join(module)).unwrap();
    }
    std::os::unix::fs::symlink(part("EDGECHAT_WORKERD_BIN"), folder.join("bin/workerd")).unwrap();
    fs::write(folder.join("edge-keys"), EDGE_KEY).unwrap();
    let path = env::join_paths(
        [folder.join("bin")].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())),
    );
    let mut command = if Path::new("/usr/bin/setpriv").exists() {
        // It ends with this process, even when that is killed.
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "KILL", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command
        .arg(folder.join("app/start.sh"))
        .args(["--socket-addr=http=127.0.0.1:0", "--control-fd=1"])
        .env_clear()
        .env("PATH", path.unwrap())
        .env("OBJECTS_DIR", folder.join("objects"))
        .env("EDGE_KEYS_FILE", folder.join("edge-keys"))
        .envs(vars.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Edge {
    async fn start(vars: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("edgechat-test-").tempdir().unwrap();
        let mut process = script(folder.path(), vars).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = bounded("workerd to listen", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("workerd goes on until it listens");
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                if event["event"] == "listen" && event["socket"] == "http" {
                    return event["port"].as_u64().unwrap();
                }
            }
        })
        .await;
        // Read to its end, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { url: format!("http://127.0.0.1:{port}"), _process: process, _folder: folder }
    }

    /// Sends one request per value of a header, in order, and returns the statuses.
    async fn answers(&self, header: &str, values: &[&str]) -> Vec<u16> {
        let client = Client::new(self.url.clone());
        let mut statuses = Vec::new();
        for value in values {
            let reply = client.get("/api/v1/health").header(header, value).send().await;
            if reply.status == 429 {
                reply.problem(ErrorCode::RateLimited);
            }
            statuses.push(reply.status);
        }
        statuses
    }
}

#[tokio::test]
async fn turn_runs_with_addresses_only() {
    let env = TestEnv::start().await;
    let (origin, gemini) = (env.client_of_origin().url(""), env.provider.base());
    let edge = Edge::start(&[("ORIGIN_URL", &origin), ("SCRIPTED_GEMINI_URL", &gemini)]).await;
    let phone = Client::new(edge.url.clone()).register().await;
    let conversation = phone.conversation().await;
    let sent = phone.send_message(conversation, "Hello").await;
    assert_eq!(sent.status, TurnStatus::Completed);
    assert_eq!(env.provider.calls(), 1);
    assert_eq!(phone.persisted(sent.turn_id).await.text, sent.assistant_message.content);
    assert_eq!(phone.messages(conversation).await.len(), 2);
}

#[tokio::test]
async fn client_address_header_is_ignored() {
    let env = TestEnv::start().await;
    let origin = env.client_of_origin().url("");
    let edge = Edge::start(&[("ORIGIN_URL", &origin), ("RATE_LIMIT_REQUESTS", "2")]).await;
    let statuses = edge.answers("CF-Connecting-IP", &["203.0.113.1", "203.0.113.2", "203.0.113.3"]).await;
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn client_address_is_read_from_trusted_proxy() {
    let env = TestEnv::start().await;
    let origin = env.client_of_origin().url("");
    let vars =
        [("ORIGIN_URL", &*origin), ("RATE_LIMIT_REQUESTS", "2"), ("CLIENT_IP_HEADER", "X-Forwarded-For")];
    let edge = Edge::start(&vars).await;
    let addresses =
        ["203.0.113.7", "198.51.100.1, 203.0.113.7", "198.51.100.2, 203.0.113.7", "203.0.113.7, 203.0.113.8"];
    assert_eq!(edge.answers("X-Forwarded-For", &addresses).await, [200, 200, 429, 200]);
}

#[tokio::test]
async fn production_without_gemini_key_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let vars = [("EDGECHAT_ENV", "production"), ("SCRIPTED_GEMINI_URL", "http://127.0.0.1:9")];
    let mut command = script(folder.path(), &vars);
    let output = bounded("the script to end", command.stderr(Stdio::piped()).output()).await.unwrap();
    assert!(!output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "GEMINI_API_KEY: not set; it should hold a key of the Gemini API\n"
    );
}
