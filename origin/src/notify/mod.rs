//! Messages to people outside of the app: e-mail and SMS.
//!
//! - [`message`]: what is sent, to whom, and why
//! - [`Messenger`]: the port
//! - [`smtp`], [`sms_webhook`]: its adapters for servers
//! - [`mailbox`]: its embedded adapter, which keeps messages for whoever develops
//! - [`guarded`]: an adapter whose server is left alone while it fails
//! - [`channels`]: the adapter of each channel, as the configuration has it

pub mod channels;
pub mod guarded;
pub mod mailbox;
pub mod message;
pub mod sms_webhook;
pub mod smtp;

use async_trait::async_trait;

pub use channels::Channels;
pub use mailbox::Mailbox;
pub use message::{Channel, Message, Purpose};

/// The reason why a message was not taken: for the log and a job's row, so without addresses, codes and the server's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The server does not answer, or cannot work now: no message is taken.
    #[error("{0}")]
    Unavailable(String),
    /// The server answered that it does not take this message now.
    #[error("{0}")]
    Postponed(String),
    /// This message will never be taken.
    #[error("{0}")]
    Refused(String),
}

impl SendError {
    /// Returns true when the message is not to be sent again.
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Unavailable(_) | Self::Postponed(_) => false,
        }
    }
}

/// Delivers messages.
#[async_trait]
pub trait Messenger: Send + Sync + 'static {
    /// Hands a message over, within a bounded time; from then on its delivery is the server's. One that was handed over before may
    /// come again with the same id, and is delivered once where the server can tell.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    async fn send(&self, message: Message) -> Result<(), SendError>;
}
