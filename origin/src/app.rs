//! What every handler has at hand.

use std::{ops::Deref, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    ambient::{Clock, Random},
    auth::{
        passwords::{HashError, Passwords},
        throttle::Throttle,
        tokens::TokenIssuer,
    },
    config::Config,
    http::{overload::MAX_IN_FLIGHT, probe::Probes},
    store::Stores,
};

/// The origin's parts, shared by all requests.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts.
pub struct Parts {
    /// What the variables said.
    pub config: Config,
    /// Where the state lives.
    pub stores: Stores,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub random: Arc<dyn Random>,
    /// Makes and checks tokens.
    pub tokens: TokenIssuer,
    /// Makes and checks hashes of passwords.
    pub passwords: Passwords,
    /// Limits of sign-up and sign-in.
    pub throttle: Throttle,
    /// Requests that may run at once.
    pub in_flight: Semaphore,
    /// Checks of the stores.
    pub probes: Probes,
}

/// The cryptography refuses the parameters it is given here. Every test that makes an [`App`] rules it out.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Of passwords.
    #[error(transparent)]
    Passwords(#[from] HashError),
    /// Of refresh tokens.
    #[error("deriving the key of refresh tokens failed: {0}")]
    Tokens(hkdf::InvalidLength),
}

impl App {
    /// Puts the parts together. Blocks for as long as one password takes to hash.
    pub fn new(
        config: Config,
        stores: Stores,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SetupError> {
        let passwords = Passwords::new(&*random)?;
        Ok(Self(Arc::new(Parts {
            tokens: TokenIssuer::new(&config).map_err(SetupError::Tokens)?,
            throttle: Throttle::new(&config.limits),
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            probes: Probes::default(),
            passwords,
            config,
            stores,
            clock,
            random,
        })))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
