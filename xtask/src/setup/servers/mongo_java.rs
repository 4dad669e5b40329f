//! mongo-java-server, built by Maven from `tests/servers/mongo-java`.
//!
//! Maven has no lock file: the project pins every version, Maven compares each download with the checksum that the
//! repository publishes, and what comes onto the class path is compared with the checksums in `libraries.sha256`.

use std::{ffi::OsString, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::super::files::list;
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

/// Compares the files of a folder with a list in the format of `sha256sum`: the same names, the same contents.
fn compare(list_of_sums: &Path, folder: &Path) -> Result<()> {
    let expected = fs::read_to_string(list_of_sums)
        .with_context(|| format!("cannot read {}", list_of_sums.display()))?;
    let mut expected: Vec<_> = expected.lines().map(str::to_owned).collect();
    let mut found = list(folder)?.iter().map(line).collect::<Result<Vec<_>>>()?;
    expected.sort();
    found.sort();
    let strange = found.iter().find(|line| !expected.contains(line));
    let missing = expected.iter().find(|line| !found.contains(line));
    if let Some(line) = strange.or(missing) {
        let name = line.rsplit(' ').next().unwrap_or_default();
        // Nobody shall run it.
        let _ = fs::remove_dir_all(folder);
        bail!("{name} from the Maven repository is not what {} lists", step::near(list_of_sums).display());
    }
    Ok(())
}

fn line(file: impl AsRef<Path>) -> Result<String> {
    let file = file.as_ref();
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(format!("{:x}  {}", Sha256::digest(bytes), file.file_name().unwrap_or_default().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of "x".
    const X: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  a.jar\n";

    fn compared(sums: &str, files: &[(&str, &str)]) -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        for (name, contents) in files {
            fs::write(folder.path().join("lib").join(name), contents).unwrap();
        }
        fs::write(folder.path().join("sums"), sums).unwrap();
        compare(&folder.path().join("sums"), &folder.path().join("lib"))
    }

    #[test]
    fn only_what_is_listed_passes() {
        compared(X, &[("a.jar", "x")]).unwrap();
        for files in [&[("a.jar", "y")][..], &[("a.jar", "x"), ("b.jar", "x")], &[]] {
            let error = compared(X, files).unwrap_err().to_string();
            assert!(error.contains(".jar from the Maven repository is not what"), "{error}");
        }
    }
}
