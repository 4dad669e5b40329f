//! The state shared by all handlers.

use std::{ops::Deref, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    auth::{Auth, SetupError as AuthSetupError},
    clock::Clock,
    config::{Config, MailConfig},
    events::{EventDelivery, edge::EdgeClient},
    jobs::{Job, Runner, forget::Forget, notify::Notify, runner::Limits},
    notify::{Mailbox, Mailer},
    random::Random,
    store::{Stores, probe::Probes},
};

/// Requests that may run at once.
pub const MAX_IN_FLIGHT: usize = 1_024;

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
    /// Signs people up and in, and knows their sessions.
    pub auth: Arc<Auth>,
    /// Delivers events to the Worker.
    pub events: EventDelivery,
    /// Mails that are kept instead of delivered, in development.
    pub mailbox: Option<Arc<Mailbox>>,
    /// Requests that may run at once.
    pub in_flight: Semaphore,
    /// The health checks of the stores.
    pub probes: Probes,
}

/// A part cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Of sign-ups, sign-ins and sessions.
    #[error(transparent)]
    Auth(#[from] AuthSetupError),
    /// Of calls to the Worker.
    #[error("the HTTP client for EDGE_URL cannot be made: {0}")]
    Edge(#[from] reqwest::Error),
}

impl App {
    /// Puts the parts together. Blocks for as long as one password takes to hash.
    ///
    /// # Errors
    ///
    /// Fails when the cryptography refuses its parameters, or TLS for `EDGE_URL` cannot be set up.
    pub fn new(
        config: Config,
        stores: Stores,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SetupError> {
        let auth = Auth::new(&config, &stores, Arc::clone(&clock), Arc::clone(&random))?;
        let edge = config.edge_url.as_deref().zip(config.edge_keys.clone());
        let edge = edge.map(|(url, keys)| EdgeClient::new(url, keys)).transpose()?;
        let mailbox = match config.mail {
            MailConfig::Mailbox => Some(Arc::new(Mailbox::new(Arc::clone(&clock)))),
            MailConfig::Off => None,
        };
        Ok(Self(Arc::new(Parts {
            events: EventDelivery::new(edge, Arc::clone(&clock), Arc::clone(&random)),
            auth: Arc::new(auth),
            mailbox,
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            probes: Probes::default(),
            config,
            stores,
            clock,
            random,
        })))
    }

    /// Returns the runner of every kind of job.
    pub fn job_runner(&self) -> Arc<Runner> {
        let accounts = || Arc::clone(&self.stores.accounts);
        let clock = || Arc::clone(&self.clock);
        let mailer = self.mailbox.clone().map(|mailbox| mailbox as Arc<dyn Mailer>);
        let app_name = self.config.process.app_name.clone();
        let jobs: [Arc<dyn Job>; 2] =
            [Arc::new(Forget::new(accounts(), clock())), Arc::new(Notify::new(accounts(), mailer, app_name))];
        Runner::new(accounts(), jobs, clock(), Arc::clone(&self.random), Limits::DEFAULT)
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
