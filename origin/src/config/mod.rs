//! Configuration: variables parsed into enums and numbers once, at start. Nothing else reads a variable.
//!
//! - [`vars`]: the sources of variables
//! - [`reader`]: parsing of one variable, and its problem when it is wrong
//! - [`process`], [`secrets`], [`stores`], [`limits`], [`notify`], [`oidc`], [`consents`], [`apps`], [`passkeys`], [`telemetry`]:
//!   the sections
//! - `pem`: files with certificates
//! - `foreign_vars`: variables of other parts, checked only

pub mod apps;
pub mod consents;
mod foreign_vars;
pub mod limits;
pub mod notify;
pub mod oidc;
pub mod passkeys;
mod pem;
pub mod process;
pub mod reader;
pub mod secrets;
pub mod stores;
pub mod telemetry;
pub mod vars;

#[cfg(test)]
mod tests;

use std::fmt;

use shared::{
    auth::{consents::RequiredDocument, edge::EdgeKeys, native::SigningKeys},
    http::base_url,
};

pub use apps::AppsConfig;
pub use limits::LimitsConfig;
pub use notify::NotifyConfig;
pub use oidc::OidcConfig;
pub use passkeys::PasskeysConfig;
pub use process::{Environment, LogFormat, ProcessConfig};
pub use reader::Problem;
pub use secrets::Secret;
pub use stores::StoresConfig;
pub use telemetry::{TelemetryConfig, TracesConfig};
pub use vars::Vars;

use reader::Reader;

/// The validated configuration of the origin.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name, environment, address, logs.
    pub process: ProcessConfig,
    /// The secrets behind tokens, the one in use first.
    pub jwt_secrets: Vec<Secret>,
    /// The keys of access tokens.
    pub signing_keys: SigningKeys,
    /// The keys shared with the Worker; `None` in a development set-up without one.
    pub edge_keys: Option<EdgeKeys>,
    /// `EDGE_URL`: the Worker, without a slash at the end; where unset, it finds out by asking within a minute that a
    /// session has ended.
    pub edge_url: Option<String>,
    /// The adapter of each port.
    pub stores: StoresConfig,
    /// Lifetimes and limits.
    pub limits: LimitsConfig,
    /// Metrics and traces.
    pub telemetry: TelemetryConfig,
    /// `CONSENTS_REQUIRED`, default none: the documents that every user must agree to, each in its version.
    pub required_documents: Vec<RequiredDocument>,
    /// The delivery of messages to people.
    pub notify: NotifyConfig,
    /// Social sign-in.
    pub oidc: OidcConfig,
    /// The apps that share the server's sign-ins.
    pub apps: AppsConfig,
    /// Passkeys; `None` when they are off.
    pub passkeys: Option<PasskeysConfig>,
}

/// All problems, one variable a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads all sections.
    ///
    /// # Errors
    /// Fails with every wrong variable by name.
    pub fn read(vars: &Vars) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(vars);
        let process = ProcessConfig::read(&mut reader);
        let secrets = secrets::SecretsConfig::read(&mut reader, process.environment);
        let stores = StoresConfig::read(&mut reader, &process);
        let limits = LimitsConfig::read(&mut reader);
        let edge_url = edge_url(&mut reader, process.environment);
        let telemetry = TelemetryConfig::read(&mut reader, process.environment);
        let required_documents = consents::read(&mut reader);
        let notify = NotifyConfig::read(&mut reader, process.environment);
        let oidc = OidcConfig::read(&mut reader, process.environment);
        let apps = AppsConfig::read(&mut reader);
        let passkeys = PasskeysConfig::read(&mut reader, &apps);
        foreign_vars::check(&mut reader, process.environment);
        match (reader.into_problems(), secrets.signing_keys) {
            (problems, Some(signing_keys)) if problems.is_empty() => Ok(Self {
                process,
                jwt_secrets: secrets.jwt_secrets,
                signing_keys,
                edge_keys: secrets.edge_keys,
                edge_url,
                stores,
                limits,
                telemetry,
                required_documents,
                notify,
                oidc,
                apps,
                passkeys,
            }),
            (problems, _) => Err(ConfigError(problems)),
        }
    }
}

fn edge_url(reader: &mut Reader<'_>, environment: Environment) -> Option<String> {
    let text = reader.text("EDGE_URL")?;
    match base_url::parse(text, environment == Environment::Production) {
        Ok(url) => Some(url),
        Err(reason) => {
            reader.wrong("EDGE_URL", reader::quoted(text), reason);
            None
        }
    }
}
