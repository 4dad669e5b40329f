//! The delivery of messages to people: e-mail and SMS, each configured apart.
//!
//! - [`smtp`]: the server for e-mail
//! - [`sms`]: the gateway for SMS, with the [`template`] of its requests

pub mod sms;
pub mod smtp;
pub mod template;

use std::fmt;

use shared::http::base_url;

pub use sms::SmsWebhookConfig;
pub use smtp::SmtpConfig;

use super::{
    process::Environment,
    reader::{Reader, UNSET, quoted},
};

/// The address of `cargo xtask dev` and of docker compose.
const DEFAULT_PUBLIC_URL: &str = "http://127.0.0.1:8787";

/// The section of messages.
#[derive(Clone, Debug)]
pub struct NotifyConfig {
    /// The delivery of e-mail.
    pub mail: MailConfig,
    /// The delivery of SMS.
    pub sms: SmsConfig,
    /// `PUBLIC_URL`, default `http://127.0.0.1:8787`: where people find the app, without a slash at the end, for links in mails.
    /// Required in production where mails are sent, with `https`.
    pub public_url: String,
}

/// The delivery of e-mail.
#[derive(Clone, Debug)]
pub enum MailConfig {
    /// The default in development: they are kept in memory and shown by `GET /dev/mailbox`. Never in production.
    Mailbox,
    /// `SMTP_URL` is set.
    Smtp(Box<SmtpConfig>),
    /// The default in production: none are sent.
    Off,
}

/// The delivery of SMS.
#[derive(Clone, Debug)]
pub enum SmsConfig {
    /// The default in development: they are kept in memory and shown by `GET /dev/mailbox`. Never in production.
    Mailbox,
    /// `SMS_WEBHOOK_URL` is set.
    Webhook(Box<SmsWebhookConfig>),
    /// The default in production: none are sent.
    Off,
}

impl NotifyConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let is_production = environment == Environment::Production;
        let mail = match (smtp::read(reader, is_production), is_production) {
            (Some(smtp), _) => MailConfig::Smtp(Box::new(smtp)),
            (None, false) => MailConfig::Mailbox,
            (None, true) => MailConfig::Off,
        };
        let sms = match (sms::read(reader, is_production), is_production) {
            (Some(webhook), _) => SmsConfig::Webhook(Box::new(webhook)),
            (None, false) => SmsConfig::Mailbox,
            (None, true) => SmsConfig::Off,
        };
        let is_linked = is_production && matches!(mail, MailConfig::Smtp(_));
        Self { mail, sms, public_url: public_url(reader, is_linked) }
    }
}

/// Reads `PUBLIC_URL`. `is_linked`: the links go to users of a deployment.
fn public_url(reader: &mut Reader<'_>, is_linked: bool) -> String {
    const WANTED: &str =
        "it should hold the https:// address of the app, for links in mails, as SMTP_URL is set";
    let Some(text) = reader.text("PUBLIC_URL") else {
        if is_linked {
            reader.wrong("PUBLIC_URL", UNSET, WANTED);
        }
        return DEFAULT_PUBLIC_URL.to_owned();
    };
    let read = if is_linked && !text.starts_with("https://") {
        Err(WANTED.to_owned())
    } else {
        base_url::parse(text, false)
    };
    read.unwrap_or_else(|wanted| {
        reader.wrong("PUBLIC_URL", quoted(text), wanted);
        DEFAULT_PUBLIC_URL.to_owned()
    })
}

const IN_MAILBOX: &str = "kept in memory, shown by GET /dev/mailbox";

impl fmt::Display for MailConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox => f.write_str(IN_MAILBOX),
            Self::Smtp(smtp) => smtp.fmt(f),
            Self::Off => f.write_str("not sent: SMTP_URL is not set"),
        }
    }
}

impl fmt::Display for SmsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox => f.write_str(IN_MAILBOX),
            Self::Webhook(webhook) => webhook.fmt(f),
            Self::Off => f.write_str("not sent: SMS_WEBHOOK_URL is not set"),
        }
    }
}
