//! The requester of a change, as sessions and the audit trail note it.

use shared::{api::account::Platform, limits::ip::canonical};

/// The request behind a change of an account.
#[derive(Clone, Debug, Default)]
pub struct Requester {
    /// The address it comes from, as limits count it; empty where there is none.
    pub ip: String,
    /// The kind of program that sent it, where that is known.
    pub platform: Option<Platform>,
    /// The id of the request.
    pub request_id: Option<String>,
}

impl Requester {
    /// An operator at the command line: no request at all.
    pub fn operator() -> Self {
        Self::default()
    }

    /// The address to store; `None` where it is unknown.
    pub fn address(&self) -> Option<String> {
        canonical(&self.ip)
    }
}
