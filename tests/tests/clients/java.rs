//! Java: its HttpClient and OkHttp; and the clients that OpenAPI Generator, a Java program, generates.

use std::{env, fs};

use edgechat_tests::{program::Program, test_env::TestEnv};

use super::{
    generated::Generated,
    tools::{PROGRAM_BOUND, URL, java, kotlin_libraries, node, node_tool, python, sources, url},
};

#[tokio::test]
async fn http_client_does_the_main_job() {
    let env = TestEnv::start().await;
    let program = Program::new("HttpClient", "java").arg(sources("java").join("Plain.java"));
    program.env(URL, url(&env)).run(PROGRAM_BOUND).await;
}

#[tokio::test]
async fn okhttp_does_the_main_job() {
    let env = TestEnv::start().await;
    let program = java("OkHttp", [kotlin_libraries().join("*")]).arg(sources("java").join("OkHttp.java"));
    program.env(URL, url(&env)).run(PROGRAM_BOUND).await;
}

#[tokio::test]
async fn generated_kotlin_client_does_the_main_job() {
    let env = TestEnv::start().await;
    let client = Generated::make(&env, "kotlin").await;
    let (built, libraries) = (client.folder.join("built"), kotlin_libraries());
    let jars =
        fs::read_dir(&libraries).expect("the folder of the jars").map(|jar| jar.expect("a jar").path());
    let compiler = java("Kotlin's compiler", [libraries.join("*")])
        .arg("org.jetbrains.kotlin.cli.jvm.K2JVMCompiler")
        .args(["-no-stdlib", "-no-reflect", "-nowarn", "-jvm-target", "17", "-classpath"])
        .arg(env::join_paths(jars).expect("jars without a separator in their names"))
        .arg("-d")
        .arg(&built)
        .arg(client.sources().join("src").join("main").join("kotlin"))
        .arg(sources("kotlin").join("Main.kt"));
    client.compile(compiler).await;
    let program = java("the Kotlin client", [built, libraries.join("*")]).arg("MainKt");
    program.env(URL, url(&env)).run(PROGRAM_BOUND).await;
}

#[tokio::test]
async fn generated_typescript_client_does_the_main_job() {
    let env = TestEnv::start().await;
    let client = Generated::make(&env, "typescript").await;
    for file in ["main.ts", "package.json", "tsconfig.json"] {
        fs::copy(sources("typescript").join(file), client.folder.join(file)).expect("a file of the program");
    }
    client.compile(node_tool("typescript", "bin/tsc").arg("--project").arg(&client.folder)).await;
    node("the TypeScript client", client.folder.join("built").join("main.js"))
        .env(URL, url(&env))
        .run(PROGRAM_BOUND)
        .await;
}

#[tokio::test]
async fn generated_python_client_does_the_main_job() {
    let env = TestEnv::start().await;
    let client = Generated::make(&env, "python").await;
    client.compile(python("compileall").args(["-m", "compileall", "-q"]).arg(client.sources())).await;
    let program = python("the Python client").arg(sources("python").join("generated.py"));
    program.env("PYTHONPATH", client.sources()).env(URL, url(&env)).run(PROGRAM_BOUND).await;
}
