//! The state shared by all handlers.

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
    /// The configuration.
    pub config: Config,
    /// The stores.
    pub stores: Stores,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub random: Arc<dyn Random>,
    /// Issues and verifies tokens.
    pub tokens: TokenIssuer,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// Limits of sign-up and sign-in.
    pub throttle: Throttle,
    /// The limit of concurrent requests.
    pub in_flight: Semaphore,
    /// The health checks of the stores.
    pub probes: Probes,
}

/// The error of cryptography that refuses the parameters given here. Every test that creates an [`App`] rules it out.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The password hash refuses its parameters.
    #[error(transparent)]
    Passwords(#[from] HashError),
    /// The key of refresh tokens cannot be derived.
    #[error("deriving the key of refresh tokens failed: {0}")]
    Tokens(hkdf::InvalidLength),
}

impl App {
    /// Builds the parts. Blocks for the time of one password hash.
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
