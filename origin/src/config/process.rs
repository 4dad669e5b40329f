//! The process section: name, environment, address and logs.

use std::net::{Ipv4Addr, SocketAddr};

use super::reader::{Reader, quoted};

/// `EDGECHAT_ENV`: the environment, which decides how strict a start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A developer's machine: unsigned requests are served, with the address of their connection.
    Development,
    /// A deployment for users: settings that are fit for development only are refused.
    Production,
}

impl Environment {
    /// Returns the value of `EDGECHAT_ENV`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

/// `LOG_FORMAT`: the format of lines on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl LogFormat {
    /// Returns the value of `LOG_FORMAT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// The process section.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// `APP_NAME`, default `EdgeChat`: the name `GET /` and the documentation show.
    pub app_name: String,
    /// `EDGECHAT_ENV`, default `development`.
    pub environment: Environment,
    /// `LISTEN_ADDR`, default `127.0.0.1:8080`; port 0 takes a free one.
    pub listen_addr: SocketAddr,
    /// `LOG_FORMAT`, default `json` in production and `text` in development.
    pub log_format: LogFormat,
    /// `DEBUG`, default `false`: true when logs have debug lines. Refused in production.
    pub debug: bool,
    /// `EDGECHAT_REPLICAS`, default 1: the number of origins that serve together. More than one needs shared stores.
    pub replicas: u64,
}

impl ProcessConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let environment = match reader.text("EDGECHAT_ENV") {
            None | Some("development") => Environment::Development,
            Some("production") => Environment::Production,
            Some(other) => {
                reader.wrong("EDGECHAT_ENV", quoted(other), "it should hold development or production");
                Environment::Development
            }
        };
        let debug = reader.flag("DEBUG", false);
        if debug && environment == Environment::Production {
            reader.wrong("DEBUG", "held true", "it should be false in production");
        }
        Self {
            app_name: reader.text("APP_NAME").unwrap_or("EdgeChat").to_owned(),
            environment,
            listen_addr: listen_addr(reader),
            log_format: log_format(reader, environment),
            debug,
            replicas: reader.number("EDGECHAT_REPLICAS", 1, 1..=1000),
        }
    }
}

fn listen_addr(reader: &mut Reader<'_>) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let Some(text) = reader.text("LISTEN_ADDR") else { return default };
    text.parse().unwrap_or_else(|_| {
        reader.wrong(
            "LISTEN_ADDR",
            quoted(text),
            "it should hold an address and a port, such as 127.0.0.1:8080",
        );
        default
    })
}

fn log_format(reader: &mut Reader<'_>, environment: Environment) -> LogFormat {
    let default = match environment {
        Environment::Development => LogFormat::Text,
        Environment::Production => LogFormat::Json,
    };
    match reader.text("LOG_FORMAT") {
        None => default,
        Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(other) => {
            reader.wrong("LOG_FORMAT", quoted(other), "it should hold text or json");
            default
        }
    }
}
