//! A private PostgreSQL.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{About, Durability, Server, compose, database, required};
use crate::test_env::part::{Launch, Part, guarded};

/// The variable with the folder of `initdb` and `postgres`.
pub const PROGRAMS: &str = "EDGECHAT_POSTGRES_BIN";
const SERVICE: &str = "postgres";
const USER: &str = "edgechat";
/// PostgreSQL refuses to run as root; Debian's package makes this user.
const SYSTEM_USER: &str = "postgres";
/// The connection limit: each test has an origin with its own pool.
const MAX_CONNECTIONS: &str = "max_connections=400";

/// Starts a server with an empty database.
///
/// # Panics
/// Panics when it cannot be started.
pub async fn start(durability: Durability) -> Server {
    let url = |addr: &str| format!("postgres://{USER}@{addr}/postgres?sslmode=disable");
    if compose::is_chosen() {
        return Server::container(SERVICE, durability, url).await;
    }
    let programs = PathBuf::from(required(PROGRAMS));
    let user = rustix::process::geteuid().is_root().then_some(SYSTEM_USER);
    Server::program(SERVICE, |dir, port| {
        initialize(&programs, user, &dir);
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", dir.display()),
            MAX_CONNECTIONS.to_owned(),
        ];
        if durability == Durability::Fleeting {
            settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
        }
        let mut args = vec!["-D".to_owned(), data(&dir).display().to_string()];
        args.extend(["-p".to_owned(), port.number().to_string()]);
        args.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        let url = url(&port.addr());
        let launch = Launch {
            name: "PostgreSQL",
            program: programs.join("postgres"),
            args,
            vars: Vec::new(),
            folder: dir,
            user,
            is_ready: |line| line.contains("database system is ready to accept connections"),
        };
        (Part::new(launch, port), url)
    })
    .await
}

/// Reads the product and version of a server.
///
/// # Errors
/// Fails when it cannot be reached; the text is the reason.
pub async fn about(url: &str) -> Result<About, String> {
    let client = database::postgres(url).await?;
    let row = client.query_one("SHOW server_version", &[]).await.map_err(|error| error.to_string())?;
    // Distributions add text after the number.
    let version: String = row.get(0);
    Ok(About::new("PostgreSQL", version.split(' ').next().unwrap_or_default(), &[]))
}

fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

fn initialize(programs: &Path, user: Option<&str>, dir: &Path) {
    if let Some(user) = user {
        run(Command::new("chown").arg(user).arg(dir));
    }
    let mut initdb = guarded(&programs.join("initdb"), user);
    initdb.arg("-D").arg(data(dir)).args(["-U", USER, "--auth=trust", "--no-sync", "--locale=C.UTF-8"]);
    run(initdb.as_std_mut().current_dir(dir));
}

fn run(command: &mut Command) {
    let name = command.get_program().display().to_string();
    let output = command.output().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    assert!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
}
