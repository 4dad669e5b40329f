//! Those who guess, and the counts that their wrong guesses belong to.

use shared::{
    id::Id,
    limits::{
        failures::{FailureDelay, FailureState},
        ip::{client_key, network},
    },
};

use super::{HOUR_MS, SECOND_MS};

/// Wrong guesses from one network for one account: fewer than the account forgives, so that no network alone delays others.
pub const NETWORK: FailureDelay = FailureDelay::new(5, SECOND_MS, 3 * HOUR_MS, 3 * HOUR_MS);
/// Wrong guesses for one account.
pub const ACCOUNT: FailureDelay = FailureDelay::new(10, SECOND_MS, HOUR_MS, HOUR_MS);

/// A way in, or what is guessed there. Each is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A new account; the guess is that an address has none.
    SignUp,
    /// A password.
    Password,
    /// A one-time code.
    Code,
    /// The token of a link.
    Link,
    /// A refresh token.
    Refresh,
}

impl Way {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::Password => "sign_in",
            Self::Code => "codes",
            Self::Link => "links",
            Self::Refresh => "refresh",
        }
    }
}

/// The counts that a guess belongs to.
#[derive(Clone, Debug)]
pub struct Guesser {
    pub(super) client: Option<String>,
    pub(super) counts: Vec<(String, FailureDelay)>,
}

impl Guesser {
    /// An unknown device, for the account that has this address or none.
    pub fn stranger(way: Way, ip: &str, address: &str) -> Self {
        let name = format!("failures:{}:{address}", way.as_str());
        let counts = vec![(format!("{name}:{}", network_key(ip)), NETWORK), (name, ACCOUNT)];
        Self { counts, ..Self::of_token(way, ip) }
    }

    /// A device in a network from which the account was signed in to before.
    pub fn in_known_network(way: Way, ip: &str, user_id: Id) -> Self {
        let name = format!("failures-from:{}:{user_id}:{}", way.as_str(), network_key(ip));
        Self { counts: vec![(name, ACCOUNT)], ..Self::of_token(way, ip) }
    }

    /// A device with a token of a session of the account.
    pub fn with_session(way: Way, session_id: Id) -> Self {
        let name = format!("failures-by:{}:{session_id}", way.as_str());
        Self { client: None, counts: vec![(name, ACCOUNT)] }
    }

    /// Whoever shows a token that names its account and cannot be guessed.
    pub fn of_token(way: Way, ip: &str) -> Self {
        let client = format!("client-failures:{}:{}", way.as_str(), client_key(ip));
        Self { client: Some(client), counts: Vec::new() }
    }
}

/// A guess that is counted as a wrong one.
#[must_use]
pub struct CountedGuess {
    pub(super) guesser: Guesser,
    /// The states of the guesser's counts, as far as the store answered.
    pub(super) states: Vec<Option<FailureState>>,
}

/// Addresses that cannot be read are one network.
pub(super) fn network_key(ip: &str) -> String {
    network(ip).map_or_else(|| "unknown".to_owned(), |network| network.to_string())
}
