//! A private server with MongoDB's protocol: MongoDB itself where it is installed, else one of two substitutes.
//!
//! mongo-java-server keeps everything in memory and decides every race as MongoDB does; FerretDB keeps acknowledged writes
//! but does not decide every race. Each serves the tests of the half it implements.

use std::path::PathBuf;

use mongodb::bson::{Document, doc};

use super::{About, Durability, Server, compose, database, provided, required};
use crate::test_env::{
    part::{Launch, Part, on_path},
    port::Port,
};

/// The variable with the path of `mongod`.
pub const MONGOD: &str = "EDGECHAT_MONGOD_BIN";
/// The variable with the class path of mongo-java-server.
pub const MONGO_JAVA: &str = "EDGECHAT_MONGO_JAVA";
/// The variable with the path of `ferretdb`.
pub const FERRETDB: &str = "EDGECHAT_FERRETDB_BIN";
const SERVICE: &str = "mongo";
/// The file that locks the version of mongo-java-server.
const POM: &str = include_str!("../../servers/mongo-java/pom.xml");

/// Returns true when the durable server also decides every race, which FerretDB does not.
pub fn durable_one_decides_races() -> bool {
    compose::is_chosen() || provided(MONGOD).is_some()
}

/// Starts an empty server: with [`Durability::Durable`] one that can be killed, else one for semantics and races.
///
/// # Panics
/// Panics when it cannot be started.
pub async fn start(durability: Durability) -> Server {
    let url = |addr: &str| format!("mongodb://{addr}/");
    if compose::is_chosen() {
        return Server::container(SERVICE, durability, url).await;
    }
    Server::program(SERVICE, |dir, port| {
        let launch = match (provided(MONGOD), durability) {
            (Some(program), _) => mongod(program, dir, &port),
            (None, Durability::Durable) => ferretdb(required(FERRETDB), dir, &port),
            (None, Durability::Fleeting) => java(&required(MONGO_JAVA), dir, &port),
        };
        let url = url(&port.addr());
        (Part::new(launch, port), url)
    })
    .await
}

/// Reads the product and version of a server.
///
/// # Errors
/// Fails when it cannot be reached; the text is the reason.
pub async fn about(url: &str) -> Result<About, String> {
    let client = database::mongo(url).await?;
    let admin = client.database("admin");
    let info = admin.run_command(doc! { "buildInfo": 1 }).await.map_err(|error| error.to_string())?;
    if info.contains_key("ferretdbVersion") || info.contains_key("ferretdb") {
        return Ok(About::new("FerretDB", ferretdb_version(&info), &["races", "speed"]));
    }
    // Only MongoDB lists its storage engines.
    if !info.contains_key("storageEngines") {
        return Ok(About::new("mongo-java-server", java_version(), &["explain", "durability"]));
    }
    Ok(About::new("MongoDB", info.get_str("version").unwrap_or_default(), &[]))
}

fn ferretdb_version(info: &Document) -> String {
    let version = info
        .get_str("ferretdbVersion")
        .or_else(|_| info.get_document("ferretdb").and_then(|about| about.get_str("version")));
    version.unwrap_or("of unknown version").trim_start_matches('v').to_owned()
}

/// The version from the pom: the server reports a version of MongoDB that drivers expect.
fn java_version() -> &'static str {
    let after = POM.split("<artifactId>mongo-java-server</artifactId>").nth(1);
    let version = after.and_then(|rest| rest.split("<version>").nth(1)?.split('<').next());
    version.expect("the pom names the version of mongo-java-server")
}

fn mongod(program: String, dir: PathBuf, port: &Port) -> Launch {
    Launch {
        name: "MongoDB",
        program: program.into(),
        args: vec![
            "--bind_ip=127.0.0.1".to_owned(),
            format!("--port={}", port.number()),
            format!("--dbpath={}", dir.display()),
            format!("--unixSocketPrefix={}", dir.display()),
        ],
        vars: Vec::new(),
        folder: dir,
        user: None,
        is_ready: |line| line.contains("Waiting for connections"),
    }
}

fn java(class_path: &str, dir: PathBuf, port: &Port) -> Launch {
    Launch {
        name: "mongo-java-server",
        program: on_path("java").expect("`java` on the PATH"),
        args: ["-Xmx1g", "-XX:+UseSerialGC", "-cp", class_path, "Server", "127.0.0.1"]
            .map(str::to_owned)
            .into_iter()
            .chain([port.number().to_string()])
            .collect(),
        vars: Vec::new(),
        folder: dir,
        user: None,
        is_ready: |line| line == "listening",
    }
}

fn ferretdb(program: String, dir: PathBuf, port: &Port) -> Launch {
    Launch {
        name: "FerretDB",
        program: program.into(),
        args: vec![
            "--handler=sqlite".to_owned(),
            format!("--sqlite-url=file:{}/", dir.display()),
            format!("--listen-addr={}", port.addr()),
            "--debug-addr=-".to_owned(),
            "--telemetry=disable".to_owned(),
            format!("--state-dir={}", dir.display()),
        ],
        vars: Vec::new(),
        folder: dir,
        user: None,
        is_ready: |line| line.contains("Listening on TCP"),
    }
}
