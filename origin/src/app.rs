//! What every handler has at hand.

use std::{ops::Deref, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    auth::{Auth, SetupError},
    clock::Clock,
    config::{Config, MailConfig},
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
    /// What the variables said.
    pub config: Config,
    /// Where the state lives.
    pub stores: Stores,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub random: Arc<dyn Random>,
    /// Signs people up and in, and knows their sessions.
    pub auth: Arc<Auth>,
    /// Mails that are kept instead of delivered, in development.
    pub mailbox: Option<Arc<Mailbox>>,
    /// Requests that may run at once.
    pub in_flight: Semaphore,
    /// Checks of the stores.
    pub probes: Probes,
}

impl App {
    /// Puts the parts together. Blocks for as long as one password takes to hash.
    ///
    /// # Errors
    ///
    /// Fails when the cryptography refuses its parameters.
    pub fn new(
        config: Config,
        stores: Stores,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SetupError> {
        let auth = Auth::new(&config, &stores, Arc::clone(&clock), Arc::clone(&random))?;
        let mailbox = match config.mail {
            MailConfig::Mailbox => Some(Arc::new(Mailbox::new(Arc::clone(&clock)))),
            MailConfig::Off => None,
        };
        Ok(Self(Arc::new(Parts {
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
