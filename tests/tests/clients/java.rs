//! Java: its HttpClient; the clients that OpenAPI Generator, a Java program, makes; and OkHttp, which the Kotlin one uses.

use std::{ffi::OsString, fs, path::Path};

use edgechat_tests::{program::Program, world::World};

use super::{
    generated::Generated,
    tools::{PROGRAM_BOUND, URL, node, node_tool, python, sources, url},
};

#[tokio::test]
async fn http_client_does_the_main_job() {
    let world = World::start().await;
    let program = Program::new("HttpClient", "java").arg(sources("java").join("Plain.java"));
    program.env(URL, url(&world)).run(PROGRAM_BOUND).await;
}

#[tokio::test]
async fn generated_kotlin_client_does_the_main_job() {
    let world = World::start().await;
    let client = Generated::make(&world, "kotlin").await;
    let built = client.folder.join("built");
    let maven = Program::new("Maven", "mvn").args(["--batch-mode", "--strict-checksums"]);
    let maven = maven.arg(defined("generated", &client.sources())).arg(defined("output", &built));
    let maven = maven.args(["kotlin:compile", "dependency:copy-dependencies"]).within(sources("kotlin"));
    client.compile(maven).await;
    let mut path = built.join("classes").into_os_string();
    path.push(":");
    path.push(built.join("lib").join("*"));
    let program = Program::new("the Kotlin client", "java").arg("-cp").arg(path).arg("MainKt");
    program.env(URL, url(&world)).run(PROGRAM_BOUND).await;
}

#[tokio::test]
async fn generated_typescript_client_does_the_main_job() {
    let world = World::start().await;
    let client = Generated::make(&world, "typescript").await;
    for file in ["main.ts", "package.json", "tsconfig.json"] {
        fs::copy(sources("typescript").join(file), client.folder.join(file)).expect("a file of the program");
    }
    client.compile(node_tool("typescript", "bin/tsc").arg("--project").arg(&client.folder)).await;
    node("the TypeScript client", client.folder.join("built").join("main.js"))
        .env(URL, url(&world))
        .run(PROGRAM_BOUND)
        .await;
}

#[tokio::test]
async fn generated_python_client_does_the_main_job() {
    let world = World::start().await;
    let client = Generated::make(&world, "python").await;
    client.compile(python("compileall").args(["-m", "compileall", "-q"]).arg(client.sources())).await;
    let program = python("the Python client").arg(sources("python").join("generated.py"));
    program.env("PYTHONPATH", client.sources()).env(URL, url(&world)).run(PROGRAM_BOUND).await;
}

/// A property of Maven's project.
fn defined(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(format!("-D{name}="));
    argument.push(path);
    argument
}
