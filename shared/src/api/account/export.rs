//! The export of all that is stored of a user: JSON lines, each with its `type`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AccountEvent, Passkey, Session, User};
use crate::{
    api::{
        chat::{Conversation, Message},
        usage::UsageTotals,
    },
    time::Timestamp,
};

/// A line of `GET users/me/export`. Types may be added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExportLine {
    /// The user: the first line.
    Profile(Box<User>),
    /// An address of the user.
    Address(ExportedAddress),
    /// A version of a document that the user has agreed to.
    Consent(ExportedConsent),
    /// A passkey.
    Passkey(Passkey),
    /// An account at another provider.
    Identity(ExportedIdentity),
    /// An open session.
    Session(Session),
    /// An event of the account, newest first.
    Event(AccountEvent),
    /// The usage of one day and model, oldest first.
    Usage(ExportedUsage),
    /// A conversation; its messages follow.
    Conversation(Box<Conversation>),
    /// A message of the conversation before, of any branch, by `seq`.
    Message(Box<Message>),
    /// The last line: without it the export is not whole.
    End {
        /// The number of lines before, by type.
        counts: BTreeMap<String, u64>,
    },
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedAddress {
    /// `email` or `phone`.
    pub kind: String,
    /// The address.
    pub address: String,
    /// True once the user showed that they get messages there.
    pub verified: bool,
}

/// An agreement to a version of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedConsent {
    /// The name of the document.
    pub document: String,
    /// The version.
    pub version: String,
    /// The time of the first agreement to it.
    pub accepted_at: Timestamp,
}

/// An account at another provider, by which the user signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedIdentity {
    /// The provider.
    pub provider: String,
    /// The provider's address of the user at the time of the link.
    pub email: Option<String>,
    /// The time of the link.
    pub linked_at: Timestamp,
}

/// Usage of one day and model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportedUsage {
    /// The day in UTC, `YYYY-MM-DD`.
    pub day: String,
    /// The model's alias.
    pub model: String,
    /// The sums.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

impl ExportLine {
    /// Returns the name of its type.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Profile(_) => "profile",
            Self::Address(_) => "address",
            Self::Consent(_) => "consent",
            Self::Passkey(_) => "passkey",
            Self::Identity(_) => "identity",
            Self::Session(_) => "session",
            Self::Event(_) => "event",
            Self::Usage(_) => "usage",
            Self::Conversation(_) => "conversation",
            Self::Message(_) => "message",
            Self::End { .. } => "end",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn line_has_its_type_beside_its_fields() {
        let usage = ExportedUsage {
            day: "2026-11-21".to_owned(),
            model: "fast".to_owned(),
            totals: UsageTotals { requests: 2, ..UsageTotals::default() },
        };
        let end = BTreeMap::from([("usage".to_owned(), 1)]);
        for line in [ExportLine::Usage(usage), ExportLine::End { counts: end }] {
            let json = serde_json::to_value(&line).unwrap();
            assert_eq!(json["type"], line.kind());
            assert_eq!(serde_json::from_value::<ExportLine>(json).unwrap(), line);
        }
        let end = ExportLine::End { counts: BTreeMap::new() };
        assert_eq!(serde_json::to_value(end).unwrap(), json!({"type": "end", "counts": {}}));
    }
}
