//! The paths of the tools that `cargo xtask test` installed, and of each language's interpreter.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use edgechat_tests::{program::Program, test_env::TestEnv};

/// The time limit of an own program: it waits for pings on purpose, and the machine may be slow.
pub(crate) const PROGRAM_BOUND: Duration = Duration::from_mins(2);
/// The time limit of a tool that downloads, generates or compiles.
pub(crate) const TOOL_BOUND: Duration = Duration::from_mins(10);
/// The variable with the API's address.
pub(crate) const URL: &str = "EDGECHAT_URL";

/// The folder of this language's programs.
pub(crate) fn sources(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Returns a folder of this name that is kept from one run to the next.
pub(crate) fn kept(name: &str) -> PathBuf {
    let folder = tool_path("EDGECHAT_CLIENTS_DIR").join(name);
    fs::create_dir_all(&folder).expect("a folder below cargo's own");
    folder
}

/// Node, running a program.
pub(crate) fn node(name: &str, script: impl AsRef<Path>) -> Program {
    Program::new(name, tool_path("EDGECHAT_CLIENTS_NODE")).arg(script.as_ref())
}

/// Node, running a tool that npm installed.
pub(crate) fn node_tool(package: &str, program: &str) -> Program {
    node(package, sources("node").join("node_modules").join(package).join(program))
}

/// The program of the browser.
pub(crate) fn chromium() -> PathBuf {
    tool_path("EDGECHAT_CHROMIUM_BIN")
}

/// Python, with the packages that are installed for it.
pub(crate) fn python(name: &str) -> Program {
    Program::new(name, tool_path("EDGECHAT_CLIENTS_PYTHON")).env("PYTHONDONTWRITEBYTECODE", "1")
}

/// OpenAPI Generator.
pub(crate) fn generator(name: &str) -> Program {
    java(name, [tool_path("EDGECHAT_CLIENTS_GENERATOR").join("*")])
        .arg("org.openapitools.codegen.OpenAPIGenerator")
}

/// The folder of jars with Kotlin's compiler, OkHttp and the other libraries of the Kotlin client.
pub(crate) fn kotlin_libraries() -> PathBuf {
    tool_path("EDGECHAT_CLIENTS_KOTLIN")
}

/// Java with this class path.
pub(crate) fn java(name: &str, class_path: impl IntoIterator<Item = PathBuf>) -> Program {
    let class_path = env::join_paths(class_path).expect("folders without a separator in their names");
    Program::new(name, "java").arg("-cp").arg(class_path)
}

/// Returns the API's description as an environment serves it.
pub(crate) async fn document(env: &TestEnv) -> String {
    env.client().get("/openapi.json").send().await.expect_status(200).text()
}

/// Writes the API's description to a file in this folder.
pub(crate) async fn document_file(env: &TestEnv, folder: &Path) -> PathBuf {
    let file = folder.join("openapi.json");
    fs::write(&file, document(env).await).expect("a file below cargo's own");
    file
}

/// The API's address for a program.
pub(crate) fn url(env: &TestEnv) -> String {
    env.client().url("")
}

fn tool_path(variable: &str) -> PathBuf {
    let path = env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    path.unwrap_or_else(|| panic!("{variable} names no tool: run these tests by `cargo xtask test`"))
}
