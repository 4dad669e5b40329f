//! Messages, their recipients and purposes.

use std::fmt;

use shared::{address::Address, api::account::codes::CodePurpose, id::Id};

/// The way to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// E-mail.
    Email,
    /// SMS.
    Sms,
}

impl Channel {
    /// Returns the channel that reaches an address.
    pub const fn of(address: &Address) -> Self {
        match address {
            Address::Email(_) => Self::Email,
            Address::Phone(_) => Self::Sms,
        }
    }

    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
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
    /// A code lets its user delete the account.
    Delete,
    /// The password was changed.
    PasswordChanged,
    /// The e-mail address was changed.
    EmailChanged,
    /// A session was ended that its user did not end.
    SessionEnded,
    /// The account is to be deleted.
    DeletionRequested,
}

impl Purpose {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::Delete => "delete",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::SessionEnded => "session_ended",
            Self::DeletionRequested => "deletion_requested",
        }
    }
}

impl From<CodePurpose> for Purpose {
    fn from(purpose: CodePurpose) -> Self {
        match purpose {
            CodePurpose::Login => Self::Login,
            CodePurpose::Verify => Self::Verify,
            CodePurpose::Reset => Self::Reset,
            CodePurpose::Delete => Self::Delete,
        }
    }
}

/// A message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, the same when it is sent again.
    pub id: Id,
    /// The recipient.
    pub to: Address,
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
        write!(f, "Message({}, {}, {})", self.id, Channel::of(&self.to).as_str(), self.purpose.as_str())
    }
}
