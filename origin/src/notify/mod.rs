//! Messages to people outside of the app.
//!
//! - [`Mailer`]: the port of e-mail
//! - [`mailbox`]: the embedded adapter, which keeps mails for whoever develops

pub mod mailbox;

use async_trait::async_trait;
use shared::id::Id;

pub use mailbox::Mailbox;

/// The reason of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A session was ended that its user did not end.
    SessionEnded,
    /// The password was changed.
    PasswordChanged,
}

impl Purpose {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionEnded => "session_ended",
            Self::PasswordChanged => "password_changed",
        }
    }
}

/// An e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its id, the same when it is sent again.
    pub id: Id,
    /// The address.
    pub to: String,
    /// The reason.
    pub purpose: Purpose,
    /// The subject, one line.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// A mail that was not taken.
#[derive(Debug, thiserror::Error)]
#[error("the mail was not taken: {0}")]
pub struct MailError(pub String);

/// Delivers e-mail.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Hands a mail over; from then on its delivery is the adapter's. One that was handed over before may come again, and is
    /// delivered once where the adapter can tell.
    ///
    /// # Errors
    ///
    /// Fails when the mail is to be handed over again later.
    async fn send(&self, mail: Mail) -> Result<(), MailError>;
}
