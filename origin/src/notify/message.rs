//! Messages, their recipients and purposes.

use std::fmt;

use serde::{Deserialize, Serialize};
use shared::id::Id;

/// The way to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// E-mail.
    Email,
    /// SMS.
    Sms,
}

impl Channel {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

/// The address of somebody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// An e-mail address.
    Email(String),
    /// A telephone number, as `+491701234567` (E.164).
    Phone(String),
}

impl Recipient {
    /// Returns the address or number.
    pub fn address(&self) -> &str {
        match self {
            Self::Email(address) | Self::Phone(address) => address,
        }
    }

    /// Returns the channel that reaches it.
    pub const fn channel(&self) -> Channel {
        match self {
            Self::Email(_) => Channel::Email,
            Self::Phone(_) => Channel::Sms,
        }
    }
}

/// Without the address: it is personal.
impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.channel().as_str())
    }
}

/// The reason of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A code signs its user in.
    Login,
    /// A code confirms an address.
    Verify,
    /// A code or a link lets its user choose a new password.
    Reset,
    /// The password was changed.
    PasswordChanged,
    /// The e-mail address was changed.
    EmailChanged,
    /// A session was ended that its user did not end.
    SessionEnded,
}

impl Purpose {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::SessionEnded => "session_ended",
        }
    }
}

/// The purpose of a one-time code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodePurpose {
    /// It signs its user in.
    Login,
    /// It confirms an address.
    Verify,
    /// It lets its user choose a new password.
    Reset,
}

impl CodePurpose {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        self.purpose().as_str()
    }

    /// Returns the purpose of the message with the code.
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Login => Purpose::Login,
            Self::Verify => Purpose::Verify,
            Self::Reset => Purpose::Reset,
        }
    }
}

/// A message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, the same when it is sent again.
    pub id: Id,
    /// The recipient.
    pub to: Recipient,
    /// The reason.
    pub purpose: Purpose,
    /// The subject of a mail, one line; an SMS has none.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The one-time code in it.
    pub code: Option<String>,
    /// The link in it.
    pub link: Option<String>,
    /// The token in its link.
    pub token: Option<String>,
}

/// Without anything that is the recipient's alone.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, {}, {})", self.id, self.to.channel().as_str(), self.purpose.as_str())
    }
}
