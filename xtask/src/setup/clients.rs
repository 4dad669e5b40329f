//! The clients and tools of others that the API is tested with: those of Node are locked by npm, those of Python by pip's
//! checksums, and what Maven fetches for Java (OpenAPI Generator, OkHttp, Kotlin) is compared with lists of checksums.
//! `curl`, Go, Python, Java and Maven are the machine's; so is Chromium, which apt installs where it can.
//!
//! A machine that lacks a language runs the tests of the others, and the run names what is left out.

use std::{
    env::consts::{ARCH, OS},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    Node, checksums, node,
    package::{can_install, find_or_install, from_variable},
};
use crate::{
    fingerprint,
    process::program::{find, stdout_of},
    step,
    workspace::Workspace,
};

/// The oldest versions that the pinned tools run on.
const OLDEST_JAVA: u32 = 17;
const OLDEST_PYTHON: &str = "3.11";

/// The variable with the browser's program.
const BROWSER: &str = "EDGECHAT_CHROMIUM_BIN";
/// The names under which Chromium is installed.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Jars that Maven fetches: the variable with the folder, the name of its project and folder, its title, and the goal.
const JAVA_LIBRARIES: [(&str, &str, &str, &str); 2] = [
    ("EDGECHAT_CLIENTS_GENERATOR", "generator", "OpenAPI Generator", "dependency:copy"),
    ("EDGECHAT_CLIENTS_KOTLIN", "kotlin", "Kotlin and OkHttp", "dependency:copy-dependencies"),
];

/// The places of the tools, and the languages that there is no tool for.
#[derive(Debug)]
pub(crate) struct Clients {
    vars: Vec<(&'static str, OsString)>,
    missing: Vec<Missing>,
}

/// A language that this machine lacks.
#[derive(Debug, PartialEq)]
pub(crate) struct Missing {
    /// The part that the names of all its tests contain, and no others'.
    pub(crate) tests: &'static str,
    /// The tests and the missing program, for people.
    pub(crate) reason: String,
}

impl Clients {
    /// Installs what is not installed yet.
    ///
    /// # Errors
    /// Fails when a registry does not answer, or a tool is another one than was pinned.
    pub(crate) fn ensure(workspace: &Workspace, node: &Node) -> Result<Self> {
        let sources = workspace.root().join("tests").join("clients");
        let folder = workspace.target().join("clients");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        node_packages(workspace, &sources.join("node"))?;
        let mut clients = Self {
            vars: vec![
                ("EDGECHAT_CLIENTS_DIR", folder.clone().into()),
                ("EDGECHAT_CLIENTS_NODE", node.binary().into()),
            ],
            missing: Vec::new(),
        };
        match python() {
            Some(program) => {
                let installed = python_packages(workspace, &program, &sources.join("python"), &folder)?;
                clients.vars.push(("EDGECHAT_CLIENTS_PYTHON", installed.into()));
            }
            None => clients.lack(
                "python",
                "Python's clients, openapi-spec-validator and schemathesis",
                &format!("python3 from {OLDEST_PYTHON} with venv"),
            ),
        }
        if let (Some(maven), true) = (find("mvn"), has_java()) {
            for (variable, name, title, goal) in JAVA_LIBRARIES {
                let title = format!("{title} (Maven)");
                let libraries = Libraries {
                    title: &title,
                    goal,
                    project: &sources.join(name),
                    output: &folder.join(name),
                };
                clients.vars.push((variable, libraries.ensure(workspace, &maven)?.into()));
            }
        } else {
            let needed = format!("a JDK from {OLDEST_JAVA} and Maven");
            clients.lack("java", "the generated clients, OkHttp and Java's HttpClient", &needed);
        }
        for (program, tests, what) in [("go", "go::", "Go's net/http"), ("curl", "curl", "curl")] {
            if find(program).is_none() {
                clients.lack(tests, what, &format!("the program `{program}`"));
            }
        }
        match browser(workspace)? {
            Some(program) => clients.vars.push((BROWSER, program.into())),
            None => clients.lack("browser::", "the pages and passkeys in a browser", "Chromium"),
        }
        Ok(clients)
    }

    /// Sets the variables from which the tests know the tools.
    pub(crate) fn set_vars(&self, command: &mut Command) {
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
    }

    /// The languages that this machine lacks.
    pub(crate) fn missing(&self) -> &[Missing] {
        &self.missing
    }

    fn lack(&mut self, tests: &'static str, what: &str, needed: &str) {
        self.missing
            .push(Missing { tests, reason: format!("left out: {what}, for which {needed} is missing") });
    }
}

fn node_packages(workspace: &Workspace, folder: &Path) -> Result<()> {
    let stamp = folder.join("node_modules").join(".xtask-stamp");
    let wanted = fingerprint::of(folder, &node::INPUTS, &[OS, ARCH])?;
    if !fingerprint::matches(&stamp, &wanted) {
        step::logged("Node clients (npm ci)", &mut node::npm_ci(folder)?, &node::log(workspace))?;
        fingerprint::write(&stamp, &wanted)?;
    }
    Ok(())
}

/// Chromium, or `None` where it is not installed and cannot be.
fn browser(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let look = || from_variable(BROWSER).or_else(|| BROWSERS.into_iter().find_map(find));
    if look().is_none() && !can_install()? {
        return Ok(None);
    }
    find_or_install(workspace, "chromium", look).map(Some)
}

/// A Python that is new enough and can make environments.
fn python() -> Option<PathBuf> {
    let program = find("python3")?;
    let minor = OLDEST_PYTHON.rsplit('.').next()?;
    let question = format!("import ensurepip, sys, venv; sys.exit(sys.version_info < (3, {minor}))");
    stdout_of(Command::new(&program).args(["-c", &question])).ok().map(|_| program)
}

/// The Python of an environment that holds the pinned packages.
fn python_packages(workspace: &Workspace, python: &Path, sources: &Path, folder: &Path) -> Result<PathBuf> {
    const LIST: &str = "requirements.txt";
    let environment = folder.join("python");
    let program = environment.join("bin").join("python");
    let stamp = environment.join(".xtask-stamp");
    let version = stdout_of(Command::new(python).arg("--version"))?;
    let wanted = fingerprint::of(sources, &[LIST], &[&version])?;
    if !(fingerprint::matches(&stamp, &wanted) && program.is_file()) {
        let log = |name: &str| workspace.setup_logs().join(name);
        let mut make = Command::new(python);
        make.args(["-m", "venv", "--clear"]).arg(&environment);
        step::logged("Python environment (venv)", &mut make, &log("venv.log"))?;
        let mut install = Command::new(&program);
        install
            .args(["-m", "pip", "install", "--no-input", "--no-deps", "--only-binary", ":all:"])
            .args(["--require-hashes", "--requirement"])
            .arg(sources.join(LIST));
        step::logged("Python clients (pip install)", &mut install, &log("pip.log"))?;
        // Nothing is missing.
        stdout_of(Command::new(&program).args(["-m", "pip", "check"]))?;
        fingerprint::write(&stamp, &wanted)?;
    }
    Ok(program)
}

fn has_java() -> bool {
    let version = find("javac").and_then(|javac| stdout_of(Command::new(javac).arg("--version")).ok());
    find("java").is_some()
        && version.and_then(|output| major(&output)).is_some_and(|major| major >= OLDEST_JAVA)
}

/// The 17 of `javac 17.0.15`.
fn major(output: &str) -> Option<u32> {
    output.split_whitespace().nth(1)?.split('.').next()?.parse().ok()
}

/// Jars that a Maven project names.
struct Libraries<'a> {
    title: &'a str,
    goal: &'a str,
    project: &'a Path,
    output: &'a Path,
}

impl Libraries<'_> {
    /// The folder that holds the jars and nothing else.
    fn ensure(&self, workspace: &Workspace, maven: &Path) -> Result<PathBuf> {
        const SUMS: &str = "libraries.sha256";
        let libraries = self.output.join("lib");
        let stamp = self.output.join(".xtask-stamp");
        let wanted = fingerprint::of(self.project, &["pom.xml", SUMS], &[])?;
        if !(fingerprint::matches(&stamp, &wanted) && libraries.is_dir()) {
            if self.output.exists() {
                fs::remove_dir_all(self.output)
                    .with_context(|| format!("cannot remove {}", self.output.display()))?;
            }
            let mut output = OsString::from("-Doutput=");
            output.push(self.output);
            let mut command = Command::new(maven);
            command
                .args(["--batch-mode", "--strict-checksums"])
                .arg(output)
                .arg(self.goal)
                .current_dir(self.project);
            step::logged(self.title, &mut command, &workspace.setup_logs().join("client-libraries.log"))?;
            checksums::compare(&self.project.join(SUMS), &libraries)?;
            fingerprint::write(&stamp, &wanted)?;
        }
        Ok(libraries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = include_str!("../../../tests/clients/python/requirements.in");
    const LOCKED: &str = include_str!("../../../tests/clients/python/requirements.txt");

    #[test]
    fn java_version_is_read() {
        assert_eq!(major("javac 17.0.15"), Some(17));
        assert_eq!(major("javac 21"), Some(21));
        assert_eq!(major("javac 1.8.0_402"), Some(1));
        assert_eq!(major(""), None);
    }

    #[test]
    fn python_lock_holds_every_package_asked_for_and_names_no_registry() {
        let asked = ASKED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let name = |line: &str| line.replace('_', "-");
        let missing: Vec<_> = asked
            .filter(|line| !LOCKED.lines().any(|locked| locked == format!("{} \\", name(line))))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(!LOCKED.contains("://") && !LOCKED.contains("--index"));
    }

    #[test]
    fn missing_language_has_a_reason() {
        let mut clients = Clients { vars: Vec::new(), missing: Vec::new() };
        clients.lack("go::", "Go's net/http", "the program `go`");
        let reason = "left out: Go's net/http, for which the program `go` is missing".to_owned();
        assert_eq!(clients.missing(), [Missing { tests: "go::", reason }]);
    }
}
