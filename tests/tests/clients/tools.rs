//! The places of the tools that `cargo xtask test` has installed, and the programs that run a language.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use edgechat_tests::{program::Program, world::World};

/// The longest that a program of ours may take: it waits for pings on purpose, and the machine may be slow.
pub(crate) const PROGRAM_BOUND: Duration = Duration::from_mins(2);
/// The longest that a tool may take which downloads, generates or compiles.
pub(crate) const TOOL_BOUND: Duration = Duration::from_mins(10);
/// Tells a program where the API is.
pub(crate) const URL: &str = "EDGECHAT_URL";

/// The sources of this language's programs.
pub(crate) fn sources(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// A folder of this name that stays from one run to the next.
pub(crate) fn kept(name: &str) -> PathBuf {
    let folder = told("EDGECHAT_CLIENTS_DIR").join(name);
    fs::create_dir_all(&folder).expect("a folder below cargo's own");
    folder
}

/// Node, on a program.
pub(crate) fn node(name: &str, script: impl AsRef<Path>) -> Program {
    Program::new(name, told("EDGECHAT_CLIENTS_NODE")).arg(script.as_ref())
}

/// Node, on a tool that npm has installed.
pub(crate) fn node_tool(package: &str, program: &str) -> Program {
    node(package, sources("node").join("node_modules").join(package).join(program))
}

/// Python, with the packages that are installed for it.
pub(crate) fn python(name: &str) -> Program {
    Program::new(name, told("EDGECHAT_CLIENTS_PYTHON")).env("PYTHONDONTWRITEBYTECODE", "1")
}

/// OpenAPI Generator.
pub(crate) fn generator(name: &str) -> Program {
    java(name, [told("EDGECHAT_CLIENTS_GENERATOR").join("*")])
        .arg("org.openapitools.codegen.OpenAPIGenerator")
}

/// The folder that has Kotlin's compiler, OkHttp, and what else the Kotlin client needs, as jars.
pub(crate) fn kotlin_libraries() -> PathBuf {
    told("EDGECHAT_CLIENTS_KOTLIN")
}

/// Java with this class path.
pub(crate) fn java(name: &str, class_path: impl IntoIterator<Item = PathBuf>) -> Program {
    let class_path = env::join_paths(class_path).expect("folders without a separator in their names");
    Program::new(name, "java").arg("-cp").arg(class_path)
}

/// The API's description, as a world serves it.
pub(crate) async fn document(world: &World) -> String {
    world.client().get("/openapi.json").send().await.expect_status(200).text()
}

/// The API's description as a file in this folder.
pub(crate) async fn document_file(world: &World, folder: &Path) -> PathBuf {
    let file = folder.join("openapi.json");
    fs::write(&file, document(world).await).expect("a file below cargo's own");
    file
}

/// The address that a program is told.
pub(crate) fn url(world: &World) -> String {
    world.client().url("")
}

fn told(variable: &str) -> PathBuf {
    let path = env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    path.unwrap_or_else(|| panic!("{variable} names no tool: run these tests by `cargo xtask test`"))
}
