//! The adapter of each channel.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Channel, Mailbox, Message, Messenger, SendError, guarded::Guarded, sms_webhook::SmsWebhook, smtp::Smtp,
};
use crate::{
    clock::Clock,
    config::notify::{MailConfig, NotifyConfig, SmsConfig},
    random::Random,
};

/// Sends each message by the channel of its recipient.
pub struct Channels {
    mail: Option<Arc<dyn Messenger>>,
    sms: Option<Arc<dyn Messenger>>,
    /// Messages that are kept instead of delivered, in development.
    pub mailbox: Option<Arc<Mailbox>>,
}

/// An adapter cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// TLS for e-mail cannot be set up.
    #[error("SMTP_URL: TLS cannot be set up: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// TLS for SMS cannot be set up.
    #[error("SMS_WEBHOOK_URL: the HTTP client cannot be made: {0}")]
    SmsWebhook(#[from] reqwest::Error),
}

impl Channels {
    /// Makes the adapters that the configuration names. No server is called.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn open(
        config: &NotifyConfig,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Result<Self, ChannelError> {
        let (clock, random) = (|| Arc::clone(clock), || Arc::clone(random));
        let has_mailbox =
            matches!(config.mail, MailConfig::Mailbox) || matches!(config.sms, SmsConfig::Mailbox);
        let mailbox = has_mailbox.then(|| Arc::new(Mailbox::new(clock())));
        let in_mailbox = || mailbox.clone().map(|mailbox| mailbox as Arc<dyn Messenger>);
        let mail = match &config.mail {
            MailConfig::Mailbox => in_mailbox(),
            MailConfig::Smtp(config) => {
                let smtp = Smtp::new(config, clock())?;
                Some(Arc::new(Guarded::new(smtp, Channel::Email, "the SMTP server", clock(), random()))
                    as Arc<dyn Messenger>)
            }
            MailConfig::Off => None,
        };
        let sms = match &config.sms {
            SmsConfig::Mailbox => in_mailbox(),
            SmsConfig::Webhook(config) => {
                let webhook = SmsWebhook::new(config, clock())?;
                Some(Arc::new(Guarded::new(webhook, Channel::Sms, "the SMS gateway", clock(), random()))
                    as Arc<dyn Messenger>)
            }
            SmsConfig::Off => None,
        };
        Ok(Self { mail, sms, mailbox })
    }
}

#[async_trait]
impl Messenger for Channels {
    async fn send(&self, message: Message) -> Result<(), SendError> {
        let (messenger, variable) = match Channel::of(&message.to) {
            Channel::Email => (&self.mail, "SMTP_URL"),
            Channel::Sms => (&self.sms, "SMS_WEBHOOK_URL"),
        };
        match messenger {
            Some(messenger) => messenger.send(message).await,
            None => Err(SendError::Refused(format!("{variable} is not set"))),
        }
    }
}
