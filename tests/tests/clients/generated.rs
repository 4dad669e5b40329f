//! Clients generated from the API's description, and compiled, when the description, the generator's settings or the program
//! that uses them has changed; kept otherwise.

use std::{
    fs,
    path::{Path, PathBuf},
};

use edgechat_tests::{program::Program, test_env::TestEnv};

use super::tools::{TOOL_BOUND, document_file, generator, kept, sources};

/// A client in one language.
pub(crate) struct Generated {
    /// The folder with the client and the build's output.
    pub(crate) folder: PathBuf,
    /// True when the client has to be compiled.
    pub(crate) is_new: bool,
    stamp: PathBuf,
    made_of: String,
}

impl Generated {
    /// Generates the client of an environment's API. `language` names the generator's configuration and the folder with the
    /// program.
    pub(crate) async fn make(env: &TestEnv, language: &str) -> Self {
        let folder = kept(&format!("generated-{language}"));
        let document = document_file(env, &folder).await;
        let config = sources("generator").join(format!("{language}.yaml"));
        let checksum = sources("generator").join("libraries.sha256");
        let made_of =
            [read_all(&document), read_all(&config), read_all(&checksum), read_all(&sources(language))];
        let (made_of, stamp) = (made_of.concat(), folder.join("made-of"));
        let is_new = fs::read_to_string(&stamp).ok().as_ref() != Some(&made_of);
        let client = Self { folder, is_new, stamp, made_of };
        if is_new {
            let _ = fs::remove_file(&client.stamp);
            let _ = fs::remove_dir_all(client.sources());
            let title = format!("OpenAPI Generator for {language}");
            let command = generator(&title).args(["generate", "--config"]).arg(config);
            command
                .arg("--input-spec")
                .arg(document)
                .arg("--output")
                .arg(client.sources())
                .run(TOOL_BOUND)
                .await;
        }
        client
    }

    /// The client's own sources.
    pub(crate) fn sources(&self) -> PathBuf {
        self.folder.join("generated")
    }

    /// Compiles the client unless that is done.
    pub(crate) async fn compile(&self, compiler: Program) {
        if self.is_new {
            compiler.run(TOOL_BOUND).await;
            fs::write(&self.stamp, &self.made_of).expect("a file below cargo's own");
        }
    }
}

/// The contents of a file, or of all below a folder that are sources.
fn read_all(path: &Path) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file of a folder").path()).collect();
    files.sort();
    files.iter().map(|file| read_all(file)).collect()
}
