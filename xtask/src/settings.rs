//! The variables of the product, from the process environment and the file `.env`, on their way to the parts.
//!
//! Nothing here knows what a variable means; each part checks its own.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail};

/// The variables that reach the Workers, and no others: the secret that tokens are signed with, for one, does not.
const WORKER_VARIABLES: [&str; 27] = [
    "APP_NAME",
    "BASIC_TIER_DAILY_LIMIT",
    "CORS_ALLOWED_HEADERS",
    "CORS_ORIGINS",
    "DEBUG",
    "DEFAULT_MODEL",
    "EDGECHAT_ENV",
    "EDGE_KEYS",
    "FAULT_INJECTION",
    "GEMINI_API_BASE",
    "GEMINI_API_KEY",
    "GROQ_API_KEY",
    "LEGACY_ROUTES",
    "ORIGIN_URL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER_ARG",
    "OUTBOX_MAX_TURNS",
    "PROVIDER_FIRST_BYTE_MS",
    "PROVIDER_STALL_MS",
    "PROVIDER_TRACEPARENT",
    "RATE_LIMIT_REQUESTS",
    "RATE_LIMIT_WINDOW_SECONDS",
    "STREAM_FLUSH_MS",
    "STREAM_PING_MS",
    "STREAM_STALL_MS",
];

/// All variables by name. A variable that is set to nothing is not set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Reads `.env` in `root`, if there is one, and the process environment, which wins.
    ///
    /// # Errors
    /// Fails when `.env` cannot be read or has a line that is not `NAME=value`.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let file = match fs::read_to_string(root.join(".env")) {
            Ok(text) => parsed(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).context("the file .env cannot be read"),
        };
        let process = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Self::merged(file, process))
    }

    /// The variables of both, `process` before `file`.
    pub(crate) fn merged(
        file: impl IntoIterator<Item = (String, String)>,
        process: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self(file.into_iter().chain(process).filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    /// A variable's value, if it is set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a variable, whatever it was.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets a variable if it is not set; returns whether it did.
    pub(crate) fn set_default(&mut self, name: &str, value: impl Into<String>) -> bool {
        let unset = self.get(name).is_none();
        if unset {
            self.set(name, value);
        }
        unset
    }

    /// Lets `name` stand for `alias` where only the latter is set.
    pub(crate) fn alias(&mut self, name: &str, alias: &str) {
        if let Some(value) = self.get(alias).map(str::to_owned) {
            self.set_default(name, value);
        }
    }

    /// A variable that has to be a port.
    ///
    /// # Errors
    /// Fails with one sentence that names the variable, what it holds and what it should hold.
    pub(crate) fn port(&self, name: &str, default: u16) -> Result<u16> {
        let Some(held) = self.get(name) else { return Ok(default) };
        match held.trim().parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => bail!("{name} is `{held}`, and should be a port between 1 and 65535, such as {default}"),
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The text of a variables file for the Workers, in the format that wrangler reads.
    ///
    /// # Errors
    /// Fails when a value cannot be written in that format; the sentence names the variable, never the value.
    pub(crate) fn worker_file(&self) -> Result<String> {
        let mut text = String::new();
        for name in WORKER_VARIABLES {
            let Some(value) = self.get(name) else { continue };
            let written = quoted(value).with_context(|| {
                format!("{name} mixes quotation marks and backslashes in a way that wrangler cannot read: change it")
            })?;
            text.extend([name, "=", written.as_str(), "\n"]);
        }
        Ok(text)
    }
}

/// Writes a file that only this user may read, whatever its mode was before.
///
/// # Errors
/// Fails when the file cannot be written.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let fresh = path.with_extension("new");
    if fresh.exists() {
        fs::remove_file(&fresh).with_context(cannot)?;
    }
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    fs::rename(&fresh, path).with_context(cannot)
}

/// A value as the npm package dotenv reads it back, or `None` if it has no such form.
///
/// Within single quotes and back-ticks nothing is special but the quote itself (dotenv takes a backslash before it as
/// part of the value and reads on); within double quotes `\n` would become a line feed.
fn quoted(value: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@+%*\\".contains(c);
    if value.chars().all(plain) {
        return Some(value.to_owned());
    }
    let quote = ['\'', '`', '"'].into_iter().find(|quote| {
        !value.contains(*quote)
            && !value.ends_with('\\')
            && !value.contains('\r')
            && (*quote != '"' || !value.contains('\\'))
    })?;
    Some(format!("{quote}{value}{quote}"))
}

/// The variables in the text of a `.env` file.
fn parsed(text: &str) -> Result<Vec<(String, String)>> {
    let text: String = text.lines().map(with_list_quoted).collect();
    dotenvy::from_read_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|error| match error {
        dotenvy::Error::LineParse(part, _) => wrong_line(&text, &part),
        other => anyhow!("the file .env cannot be read: {other}"),
    })
}

/// The line, with a bare JSON list as its value put into quotes. Backends that EdgeChat replaces take
/// `NAME=["a", "b"]`; dotenvy would take the list's own quotation marks away.
fn with_list_quoted(line: &str) -> String {
    match line.split_once('=') {
        Some((name, value))
            if value.trim().starts_with('[') && value.trim().ends_with(']') && !value.contains('\'') =>
        {
            format!("{name}='{}'\n", value.trim())
        }
        _ => format!("{line}\n"),
    }
}

/// The sentence about the line of which `part` could not be understood. The value may be a secret: only the name appears.
fn wrong_line(text: &str, part: &str) -> anyhow::Error {
    let start = part.lines().next().unwrap_or_default();
    let found = text.lines().enumerate().find(|(_, line)| line.contains(start));
    let (number, line) = found.unwrap_or_default();
    let name = line.split_once('=').map_or("a name", |(name, _)| name.trim());
    anyhow!(
        "line {} of the file .env should be {name}=value, with quotation marks around a value that has spaces in it, \
         and a closing one for each",
        number + 1
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn settings(list: &[(&str, &str)]) -> Settings {
        Settings::merged(pairs(list), [])
    }

    #[test]
    fn process_wins_over_env_file() {
        let merged = Settings::merged(
            pairs(&[("A", "file"), ("B", "file"), ("C", "")]),
            pairs(&[("A", "process"), ("B", ""), ("D", "process")]),
        );
        assert_eq!(merged.get("A"), Some("process"));
        assert_eq!(merged.get("B"), Some("file"));
        assert_eq!(merged.get("C"), None);
        assert_eq!(merged.get("D"), Some("process"));
    }

    #[test]
    fn set_variables_override_defaults_and_aliases() {
        let mut some = settings(&[("GOOGLE_API_KEY", "g")]);
        some.alias("GEMINI_API_KEY", "GOOGLE_API_KEY");
        assert_eq!(some.get("GEMINI_API_KEY"), Some("g"));
        assert!(!some.set_default("GEMINI_API_KEY", "other"));
        assert!(some.set_default("NEW", "value"));
        assert_eq!((some.get("GEMINI_API_KEY"), some.get("NEW")), (Some("g"), Some("value")));
    }

    #[test]
    fn env_file_is_read_if_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Settings::load(folder.path()).unwrap().get("XTASK_TEST_NAME").is_none());
        fs::write(folder.path().join(".env"), "# comment\nXTASK_TEST_NAME='a b'\n").unwrap();
        assert_eq!(Settings::load(folder.path()).unwrap().get("XTASK_TEST_NAME"), Some("a b"));
    }

    #[test]
    fn wrong_line_is_named_without_its_value() {
        for text in ["# one\nKEY=\"secret\n", "# one\nKEY=one secret\n", "# one\nKEY='secret\nOTHER=2\n"] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains("line 2 ") && error.contains("KEY=value"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn bare_json_list_is_a_value() {
        let list = r#"["https://a.example", "https://b.example"]"#;
        for text in [format!("A={list}\n"), format!("export A = {list} \n"), format!("A='{list}'\n")] {
            assert_eq!(parsed(&text).unwrap(), pairs(&[("A", list)]), "{text}");
        }
        assert_eq!(parsed("A=a[1] # [x]\n").unwrap(), pairs(&[("A", "a[1]")]));
    }

    #[test]
    fn wrong_port_is_named_with_its_range() {
        assert_eq!(settings(&[]).port("P", 8787).unwrap(), 8787);
        assert_eq!(settings(&[("P", "80")]).port("P", 8787).unwrap(), 80);
        for held in ["x", "0", "70000"] {
            let error = settings(&[("P", held)]).port("P", 8787).unwrap_err().to_string();
            assert!(error.starts_with(&format!("P is `{held}`")) && error.contains("8787"), "{error}");
        }
    }

    #[test]
    fn worker_file_has_the_workers_variables_alone() {
        let text =
            settings(&[("JWT_SECRET", "s"), ("ORIGIN_URL", "http://127.0.0.1:8080"), ("PATH", "/bin")]);
        assert_eq!(text.worker_file().unwrap(), "ORIGIN_URL=http://127.0.0.1:8080\n");
    }

    #[test]
    fn values_are_quoted_for_dotenv() {
        assert_eq!(quoted("http://127.0.0.1:1/x").unwrap(), "http://127.0.0.1:1/x");
        assert_eq!(quoted(r#"["https://a.example"]"#).unwrap(), r#"'["https://a.example"]'"#);
        assert_eq!(quoted("a#b $c").unwrap(), "'a#b $c'");
        assert_eq!(quoted("it's").unwrap(), "`it's`");
        assert_eq!(quoted("a'`b").unwrap(), "\"a'`b\"");
        assert_eq!(quoted("one\ntwo").unwrap(), "'one\ntwo'");
        assert_eq!(quoted(r"ends\").unwrap(), r"ends\");
        assert_eq!(quoted(r"a ends\"), None);
        assert_eq!(quoted("'`\""), None);
        assert_eq!(quoted(r"'`\n"), None);
    }

    #[test]
    fn private_file_becomes_private_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        write_private(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
