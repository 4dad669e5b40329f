//! The delivery of mails.

use std::fmt;

use super::process::Environment;

/// The delivery of mails, which follows from `EDGECHAT_ENV`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailConfig {
    /// They are kept in memory and shown by `GET /dev/mailbox`. Never in production.
    Mailbox,
    /// None are sent.
    Off,
}

impl MailConfig {
    /// The mailbox in development, nothing in production.
    pub(super) const fn of(environment: Environment) -> Self {
        match environment {
            Environment::Development => Self::Mailbox,
            Environment::Production => Self::Off,
        }
    }
}

impl fmt::Display for MailConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mailbox => "kept in memory, shown by GET /dev/mailbox",
            Self::Off => "not sent",
        })
    }
}
