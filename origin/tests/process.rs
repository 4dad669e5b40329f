//! The process itself: what it exits with, what it prints, and that two of them may start at once.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helper fails the test by panicking"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

const SECRET: &str = "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c";

/// No test waits longer than this for what must happen.
const BOUND: Duration = Duration::from_secs(20);

/// `edgechat` with these variables and no others, in this folder.
fn edgechat(folder: &Path, vars: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgechat"));
    command.args(arguments).current_dir(folder).env_clear().envs(vars.iter().copied()).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A serving process; it ends with the test.
struct Origin {
    child: Child,
    stdout: BufReader<ChildStdout>,
    addr: String,
    metrics_addr: Option<String>,
}

impl Origin {
    fn start(folder: &Path, vars: &[(&str, &str)]) -> Self {
        let mut command = edgechat(folder, vars, &[]);
        let mut child = command
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut read_event = || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            serde_json::from_str::<serde_json::Value>(&line).unwrap()
        };
        let addr = |line: &serde_json::Value| line["addr"].as_str().unwrap().to_owned();
        let mut line = read_event();
        let metrics_addr = (line["event"] == "serving metrics").then(|| addr(&line));
        if metrics_addr.is_some() {
            line = read_event();
        }
        assert_eq!(line["event"], "listening");
        Self { addr: addr(&line), child, stdout, metrics_addr }
    }

    fn get(&self, path: &str) -> String {
        get(&self.addr, path)
    }
}

/// Sends a GET request and returns the response as text.
fn get(addr: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn start_with_wrong_configuration_names_each_variable_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["serve"], &["check-config"], &["migrate"], &["keys"]] {
        let vars = [("REDIS_URL", "http://:hunter2@cache/0"), ("LISTEN_ADDR", "nowhere")];
        let Output { status, stdout, stderr } = edgechat(folder.path(), &vars, arguments).output().unwrap();
        assert_eq!((status.code(), text(&stdout).as_str()), (Some(2), ""));
        let stderr = text(&stderr);
        let variables: Vec<_> = stderr.lines().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(variables, ["LISTEN_ADDR", "JWT_SECRET", "REDIS_URL"], "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn variable_in_file_and_environment_takes_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("JWT_SECRET={SECRET}\nLISTEN_ADDR=127.0.0.1:4711\nRATE_LIMIT_REQUESTS=7\n");
    std::fs::write(folder.path().join(".env"), file).unwrap();
    let vars = [("LISTEN_ADDR", "127.0.0.1:4712")];
    let output = edgechat(folder.path(), &vars, &["check-config"]).output().unwrap();
    let stdout = text(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("127.0.0.1:4712") && stdout.contains("7 in 60 s"),
        "{stdout}"
    );
    assert!(!stdout.contains(SECRET), "{stdout}");
}

#[test]
fn check_config_with_limit_0_says_without_limit() {
    let folder = tempfile::tempdir().unwrap();
    for (limit, expected) in
        [("0", "basic plan       messages without limit"), ("7", "basic plan       7 messages a day")]
    {
        let vars = [("JWT_SECRET", SECRET), ("BASIC_TIER_DAILY_LIMIT", limit)];
        let stdout = text(&edgechat(folder.path(), &vars, &["check-config"]).output().unwrap().stdout);
        assert!(stdout.lines().any(|line| line == expected), "{stdout}");
    }
}

#[test]
fn migrate_on_a_new_file_names_every_migration_once() {
    let folder = tempfile::tempdir().unwrap();
    let run =
        || text(&edgechat(folder.path(), &[("JWT_SECRET", SECRET)], &["migrate"]).output().unwrap().stdout);
    let expected: Vec<_> = ["accounts", "chats"].into_iter().flat_map(embedded_migrations).collect();
    assert_eq!(expected.first().map(String::as_str), Some("V1__accounts"));
    let applied = run();
    let applied: Vec<_> = applied.lines().map(|line| line.strip_prefix("applied ").unwrap()).collect();
    assert_eq!(applied, expected);
    assert_eq!(run(), "nothing to do\n");
    assert!(folder.path().join(".edgechat/edgechat.db").exists());
}

/// Returns the names of a database's migrations as the repository holds them, in order.
fn embedded_migrations(database: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/sqlite").join(database);
    let version = |name: &String| -> u32 {
        name.strip_prefix('V').unwrap().split("__").next().unwrap().parse().unwrap()
    };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".sql").unwrap().to_owned())
        .collect();
    names.sort_by_key(version);
    names
}

#[test]
fn new_keys_as_env_file_pass_check_of_production() {
    let folder = tempfile::tempdir().unwrap();
    let made = edgechat(folder.path(), &[], &["keys", "new"]).output().unwrap();
    assert!(made.status.success());
    std::fs::write(folder.path().join(".env"), &made.stdout).unwrap();
    let vars = [("EDGECHAT_ENV", "production")];
    let checked = edgechat(folder.path(), &vars, &["check-config"]).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let again = edgechat(folder.path(), &[], &["keys", "new"]).output().unwrap();
    assert_ne!(text(&again.stdout), text(&made.stdout));

    let keys = edgechat(folder.path(), &[], &["keys"]).output().unwrap();
    let keys: serde_json::Value = serde_json::from_slice(&keys.stdout).unwrap();
    let kid = keys["keys"][0]["kid"].as_str().unwrap();
    assert!(text(&checked.stdout).contains(kid), "{kid}");
    assert_eq!((keys["keys"][0]["crv"].as_str(), keys["keys"][0]["d"].as_str()), (Some("Ed25519"), None));
}

#[test]
fn start_without_reachable_store_waits_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://edgechat:hunter2@{}/edgechat", nobody.local_addr().unwrap());
    drop(nobody);
    let vars = [("JWT_SECRET", SECRET), ("DATABASE_URL", url.as_str())];
    let mut child = edgechat(folder.path(), &vars, &["serve"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("DATABASE_URL") && !line.contains("hunter2"), "{line}");
    let signalled = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(signalled.success() && child.wait().unwrap().success());
}

#[test]
fn start_with_unusable_store_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://:hunter2@{}/0", other.local_addr().unwrap());
    // Something else listens there.
    std::thread::spawn(move || {
        for stream in other.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let vars = [("JWT_SECRET", SECRET), ("REDIS_URL", url.as_str())];
    let output = edgechat(folder.path(), &vars, &["serve"]).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with("REDIS_URL: the store refuses: ") && !stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn start_with_unopenable_file_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "no database").unwrap();
    for path in ["file/accounts.db", "file"] {
        let vars = [("JWT_SECRET", SECRET), ("DATABASE_URL", &format!("sqlite://{path}"))];
        for command in ["serve", "migrate"] {
            let output = edgechat(folder.path(), &vars, &[command]).output().unwrap();
            let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
            assert_eq!((output.status.code(), stdout.as_str()), (Some(1), ""), "{stderr}");
            assert!(stderr.starts_with("DATABASE_URL: the store refuses: "), "{stderr}");
        }
    }
}

#[test]
fn two_origins_started_at_once_on_same_files_both_serve() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let starting: Vec<_> =
            (0..2).map(|_| scope.spawn(|| Origin::start(folder.path(), &[("JWT_SECRET", SECRET)]))).collect();
        for origin in starting {
            let answer = origin.join().unwrap().get("/api/v1/health/ready");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    });
}

#[cfg(unix)]
#[test]
fn origin_waiting_for_migration_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let held = std::fs::File::create(folder.path().join("accounts.db.lock")).unwrap();
    held.lock().unwrap();
    let vars = [("JWT_SECRET", SECRET), ("DATABASE_URL", "sqlite://accounts.db")];
    let mut child = edgechat(folder.path(), &vars, &["serve"]).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || stderr.lines().try_for_each(|line| sender.send(line.unwrap())));
    let line = lines.recv_timeout(BOUND);
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let status = wait_ended(&mut child);
    assert!(line.as_ref().is_ok_and(|line| line.contains("another process has the lock")), "{line:?}");
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

/// Returns the exit status of a process; `None` when it went on and had to be killed.
fn wait_ended(child: &mut Child) -> Option<ExitStatus> {
    let pause = Duration::from_millis(10);
    for _ in 0..BOUND.as_millis() / pause.as_millis() {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(pause);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[test]
fn start_on_taken_address_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for variable in ["LISTEN_ADDR", "METRICS_ADDR"] {
        let vars = [("JWT_SECRET", SECRET), ("LISTEN_ADDR", "127.0.0.1:0"), (variable, addr.as_str())];
        let output = edgechat(folder.path(), &vars, &["serve"]).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.contains(&format!("{variable}: {addr} cannot be listened on")), "{stderr}");
    }
}

#[test]
fn metrics_on_own_port_count_every_request() {
    let folder = tempfile::tempdir().unwrap();
    let vars = [("JWT_SECRET", SECRET), ("METRICS_ADDR", "127.0.0.1:0")];
    let origin = Origin::start(folder.path(), &vars);
    for (path, status) in [
        ("/api/v1/health", "200"),
        ("/api/v1/health", "200"),
        ("/api/v1/chat/conversations/019aa5d2-8c00-7000-8000-3f6d2b1c9e77", "401"),
        ("/metrics", "404"),
        ("/nowhere", "404"),
        ("/api/v1/health/db", "200"),
    ] {
        let answer = origin.get(path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    let addr = origin.metrics_addr.as_deref().unwrap();
    let scraped = get(addr, "/metrics");
    let lower = scraped.to_lowercase();
    assert!(lower.starts_with("http/1.1 200 ok"), "{scraped}");
    assert!(lower.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{scraped}");
    let requests = |route: &str, status: u16| {
        let labels = format!("method=\"GET\",route=\"{route}\",status=\"{status}\"");
        value(&scraped, &format!("edgechat_http_request_duration_seconds_count{{{labels}}}"))
    };
    assert_eq!(requests("/api/v1/health", 200), Some(2.0));
    assert_eq!(requests("/api/v1/chat/conversations/{id}", 401), Some(1.0));
    assert_eq!(requests("(none)", 404), Some(2.0));
    assert!(!scraped.contains("019aa5d2"), "{scraped}");
    let call = "store=\"accounts\",backend=\"sqlite\",operation=\"ping\",outcome=\"ok\"";
    assert_eq!(value(&scraped, &format!("edgechat_store_call_duration_seconds_count{{{call}}}")), Some(1.0));
    for queue in ["reads", "writes"] {
        let labels = format!("store=\"chats\",backend=\"sqlite\",queue=\"{queue}\"");
        assert_eq!(value(&scraped, &format!("edgechat_store_waiting{{{labels}}}")), Some(0.0));
    }
    let build = format!("edgechat_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&scraped, &build), Some(1.0));
    if cfg!(target_os = "linux") {
        assert!(value(&scraped, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));
        assert!(value(&scraped, "process_open_fds").is_some_and(|open| open > 3.0));
    }
    for path in ["/", "/api/v1/health", "/metrics/"] {
        assert!(get(addr, path).starts_with("HTTP/1.1 404"), "{path}");
    }
}

/// The value of a series.
fn value(scraped: &str, series: &str) -> Option<f64> {
    let line = scraped.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[cfg(unix)]
#[test]
fn origin_on_sigterm_ends_having_printed_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut origin = Origin::start(folder.path(), &[("JWT_SECRET", SECRET)]);
    assert!(origin.get("/").starts_with("HTTP/1.1 200"));
    let signalled = Command::new("kill").args(["-TERM", &origin.child.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    assert!(origin.child.wait().unwrap().success());
    let mut rest = String::new();
    origin.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    // Everything is in the main file: the journal was folded in when it was closed.
    assert!(!folder.path().join(".edgechat/edgechat.db-wal").exists());
}
