//! mongo-java-server, built by Maven from `tests/servers/mongo-java`.
//!
//! Maven has no lock file: the project pins every version, Maven compares each download with the checksum that the
//! repository publishes, and what comes onto the class path is compared with the checksums in `libraries.sha256`.

use std::{ffi::OsString, fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::super::checksums::compare;
use crate::{fingerprint, process::program::require, step, workspace::Workspace};

const SOURCES: [&str; 3] = ["pom.xml", "libraries.sha256", "src"];
const MISSING: &str = "the tests need a MongoDB, or a JDK from 17 and Maven to build a stand-in (on Debian: apt-get \
                       install maven default-jdk-headless); set MONGODB_URL, install mongod, or start Docker otherwise";

/// The class path of the built server.
pub(super) fn ensure(workspace: &Workspace) -> Result<OsString> {
    let project = workspace.root().join("tests").join("servers").join("mongo-java");
    let output = workspace.target().join("servers").join("mongo-java");
    require("java", MISSING)?;
    let sources = fingerprint::of(&project, &SOURCES, &[])?;
    let stamp = workspace.target().join("xtask-stamps").join("mongo-java");
    if !fingerprint::matches(&stamp, &state(&sources, &output)?) {
        build(workspace, &project, &output)?;
        fingerprint::write(&stamp, &state(&sources, &output)?)?;
    }
    let mut path = output.join("classes").into_os_string();
    path.push(":");
    path.push(output.join("lib").join("*"));
    Ok(path)
}

/// Sources and output as one text, so that an output that was touched or removed is made anew.
fn state(sources: &str, output: &Path) -> Result<String> {
    Ok(format!("{sources} {}", fingerprint::of(output, &["classes", "lib"], &[])?))
}

fn build(workspace: &Workspace, project: &Path, output: &Path) -> Result<()> {
    let maven = require("mvn", MISSING)?;
    require("javac", MISSING)?;
    if output.exists() {
        fs::remove_dir_all(output).with_context(|| format!("cannot remove {}", output.display()))?;
    }
    let mut folder = OsString::from("-Doutput=");
    folder.push(output);
    let mut command = Command::new(maven);
    command
        .args(["--batch-mode", "--strict-checksums"])
        .arg(folder)
        .args(["compiler:compile", "dependency:copy-dependencies"])
        .current_dir(project);
    let log = workspace.setup_logs().join("mongo-java.log");
    step::logged("mongo-java-server (Maven, once)", &mut command, &log)?;
    compare(&project.join("libraries.sha256"), &output.join("lib"))
}
