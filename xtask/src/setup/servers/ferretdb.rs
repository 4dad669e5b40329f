//! FerretDB, built by Go from `tests/servers/ferretdb`, whose `go.sum` locks every module.
//!
//! FerretDB reads its own version from a file that only its releases hold, so that it can be built only from a copy of
//! its sources beside which that file is written.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{fingerprint, process::program::require, step, workspace::Workspace};

const PACKAGE: &str = "github.com/FerretDB/FerretDB";
const SOURCES: [&str; 3] = ["go.mod", "go.sum", "tools.go"];
const MISSING: &str = "tests that kill the server need a mongod, or Go from 1.24 to build a stand-in (on Debian 13: \
                       apt-get install golang); install mongod, or start Docker otherwise";

/// The built program.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let project = workspace.root().join("tests").join("servers").join("ferretdb");
    let output = workspace.target().join("servers").join("ferretdb");
    let program = output.join("ferretdb");
    let sources = fingerprint::of(&project, &SOURCES, &[])?;
    let stamp = workspace.target().join("xtask-stamps").join("ferretdb");
    if !(program.is_file() && fingerprint::matches(&stamp, &sources)) {
        build(workspace, &project, &output)?;
        fingerprint::write(&stamp, &sources)?;
    }
    Ok(program)
}

fn build(workspace: &Workspace, project: &Path, output: &Path) -> Result<()> {
    let go = require("go", MISSING)?;
    let cannot = || format!("cannot write to {}", output.display());
    if output.exists() {
        fs::remove_dir_all(output).with_context(cannot)?;
    }
    let module = output.join("module");
    fs::create_dir_all(&module).with_context(cannot)?;
    for file in SOURCES {
        fs::copy(project.join(file), module.join(file)).with_context(cannot)?;
    }
    let manifest =
        fs::read_to_string(project.join("go.mod")).context("tests/servers/ferretdb has no go.mod")?;
    let version =
        required_version(&manifest).context("go.mod of tests/servers/ferretdb names no FerretDB")?;

    let run = |title: &str, args: &[&str], log: &str| {
        let mut command = Command::new(&go);
        command.args(args).current_dir(&module).env("GOWORK", "off").env_remove("GOFLAGS");
        step::logged(title, &mut command, &workspace.setup_logs().join(log))
    };
    run("Sources of FerretDB (go mod vendor, once)", &["mod", "vendor"], "ferretdb-vendor.log")?;
    let place = module.join("vendor").join(PACKAGE).join("build/version/version.txt");
    fs::write(&place, format!("{version}\n")).with_context(|| format!("cannot write {}", place.display()))?;
    let package = format!("{PACKAGE}/cmd/ferretdb");
    let args = ["build", "-mod=vendor", "-buildvcs=false", "-trimpath", "-o", "../ferretdb", &package];
    run("FerretDB (go build, once)", &args, "ferretdb.log")?;
    fs::remove_dir_all(&module).with_context(cannot)
}

/// The version of FerretDB in the text of a `go.mod`.
fn required_version(manifest: &str) -> Option<&str> {
    let mut words = manifest.lines().find(|line| line.contains(PACKAGE))?.split_whitespace();
    words.find(|word| *word == PACKAGE)?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_the_locked_one() {
        let manifest = include_str!("../../../../tests/servers/ferretdb/go.mod");
        assert_eq!(required_version(manifest), Some("v1.24.2"));
        assert_eq!(required_version("module x\n"), None);
    }
}
