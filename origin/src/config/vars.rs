//! The variables a configuration is read from, as an explicit map: the process and a `.env` file at start, literals in
//! tests.

use std::{collections::BTreeMap, path::Path};

/// Variables by name. A blank value counts as unset, because that is how compose files and shells pass "nothing".
#[derive(Clone, Default)]
pub struct Vars(BTreeMap<String, String>);

/// The error of variables that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VarsError {
    /// The `.env` file exists but cannot be read.
    #[error("{path}: cannot be read ({reason}); it should hold lines of the form NAME=value")]
    EnvFile {
        /// The file.
        path: String,
        /// The message of the system or the parser; never a value.
        reason: String,
    },
}

impl Vars {
    /// Reads the process environment over the `.env` file at `path`, if that exists.
    pub fn from_process(path: &Path) -> Result<Self, VarsError> {
        let mut vars = Self::from_env_file(path)?;
        vars.0.extend(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
                .filter(|(_, value)| !value.trim().is_empty())
        }));
        Ok(vars)
    }

    fn from_env_file(path: &Path) -> Result<Self, VarsError> {
        let failed = |reason: String| VarsError::EnvFile { path: path.display().to_string(), reason };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error.to_string())),
        };
        let text: String = text.lines().map(with_list_quoted).collect();
        let mut vars = Self::default();
        for (index, entry) in dotenvy::from_read_iter(text.as_bytes()).enumerate() {
            let (name, value) = entry.map_err(|error| match error {
                dotenvy::Error::Io(error) => failed(error.to_string()),
                _ => failed(format!("entry {} is malformed", index + 1)),
            })?;
            vars.0.insert(name, value);
        }
        Ok(vars)
    }

    /// Returns the trimmed value of a variable that is set and not blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Vars {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Quotes a bare JSON list that is the value of a line: FastAPI backends accept `NAME=["a", "b"]`, and the parser would
/// remove the list's own quotation marks.
fn with_list_quoted(line: &str) -> String {
    match line.split_once('=').map(|(name, value)| (name, value.trim())) {
        Some((name, value)) if value.starts_with('[') && value.ends_with(']') && !value.contains('\'') => {
            format!("{name}='{value}'\n")
        }
        _ => format!("{line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_file_is_read_and_absent_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        assert!(Vars::from_env_file(&path).unwrap().get("APP_NAME").is_none());
        std::fs::write(&path, "# ours\nAPP_NAME=\"Chat\"\nDEBUG=\nexport LISTEN_ADDR=127.0.0.1:0\nCORS_ORIGINS=[\"https://a.example\", \"https://b.example\"]\n")
            .unwrap();
        let vars = Vars::from_env_file(&path).unwrap();
        assert_eq!(vars.get("APP_NAME"), Some("Chat"));
        assert_eq!(vars.get("DEBUG"), None);
        assert_eq!(vars.get("LISTEN_ADDR"), Some("127.0.0.1:0"));
        assert_eq!(vars.get("CORS_ORIGINS"), Some(r#"["https://a.example", "https://b.example"]"#));
    }

    #[test]
    fn malformed_env_file_is_named_without_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, "A=1\nJWT_SECRET='s3cr3t\n").unwrap();
        let text = Vars::from_env_file(&path).err().unwrap().to_string();
        assert!(text.contains(".env") && text.contains("entry 2") && !text.contains("s3cr3t"), "{text}");
    }
}
