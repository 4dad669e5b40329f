//! The state shared by all handlers.

use std::{ops::Deref, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    auth::{Auth, Secrets, SetupError as AuthSetupError},
    clock::Clock,
    config::{Config, Secret},
    events::{EventDelivery, edge::EdgeClient},
    export::MAX_EXPORTS,
    jobs::{
        Job, Runner, Waker,
        apple::{AppleJobs, ExchangeCode, RevokeToken},
        delete_user::{
            DeleteUser,
            steps::{
                AccountRows, Conversations, ForgottenConversations, ProviderTokens, ShortLived, Step,
                UserObject,
            },
        },
        forget::Forget,
        merge::MergeGuest,
        notify::{Notify, Texts},
        purge::Purge,
        runner::Limits,
    },
    notify::{Channels, Messenger, channels::ChannelError},
    oidc::IdentityProviders,
    one_time_secrets::OneTimeSecrets,
    random::Random,
    sealed::{Sealer, SealerError},
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
    pub events: Arc<EventDelivery>,
    /// Delivers messages to people.
    pub channels: Arc<Channels>,
    /// Derives codes and tokens for them.
    pub one_time_secrets: OneTimeSecrets,
    /// Seals secrets at rest.
    pub sealer: Sealer,
    /// Google and Apple.
    pub providers: Arc<IdentityProviders>,
    /// Woken when a job was scheduled.
    pub jobs: Waker,
    /// Requests that may run at once.
    pub in_flight: Semaphore,
    /// Exports that may run at once.
    pub exports: Arc<Semaphore>,
    /// The health checks of the stores.
    pub probes: Probes,
}

/// A part cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Of sign-ups, sign-ins and sessions.
    #[error(transparent)]
    Auth(#[from] AuthSetupError),
    /// Of calls to other servers: the Worker, Google, Apple.
    #[error("an HTTP client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// Of messages to people.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Of codes and tokens for them.
    #[error("deriving the key of one-time secrets failed: {0}")]
    OneTimeSecrets(hkdf::InvalidLength),
    /// Of secrets at rest.
    #[error(transparent)]
    Sealer(#[from] SealerError),
}

impl App {
    /// Puts the parts together. Blocks for as long as one password takes to hash.
    ///
    /// # Errors
    ///
    /// Fails when the cryptography refuses its parameters, or TLS for another server cannot be set up.
    pub fn new(
        config: Config,
        stores: Stores,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SetupError> {
        let jobs = Waker::default();
        let jwt_secret = config.jwt_secrets.first().map_or("", Secret::expose);
        let one_time_secrets = OneTimeSecrets::new(jwt_secret).map_err(SetupError::OneTimeSecrets)?;
        let sealer = Sealer::new(&config.jwt_secrets, Arc::clone(&random))?;
        let providers = Arc::new(IdentityProviders::open(&config.oidc)?);
        let auth = Auth::new(
            &config,
            &stores,
            Arc::clone(&clock),
            Arc::clone(&random),
            jobs.clone(),
            Secrets { one_time: one_time_secrets.clone(), sealer: sealer.clone() },
            Arc::clone(&providers),
        )?;
        let edge = config.edge_url.as_deref().zip(config.edge_keys.clone());
        let edge = edge.map(|(url, keys)| EdgeClient::new(url, keys)).transpose()?;
        Ok(Self(Arc::new(Parts {
            events: Arc::new(EventDelivery::new(edge, Arc::clone(&clock), Arc::clone(&random))),
            auth: Arc::new(auth),
            channels: Arc::new(Channels::open(&config.notify, &clock, &random)?),
            one_time_secrets,
            sealer,
            providers,
            jobs,
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
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
        let texts = Texts {
            app_name: self.config.process.app_name.clone(),
            public_url: self.config.notify.public_url.clone(),
        };
        let messenger = Arc::clone(&self.channels) as Arc<dyn Messenger>;
        let notify = Notify::new(accounts(), messenger, texts, self.one_time_secrets.clone(), clock());
        let apple = AppleJobs {
            apple: self.providers.apple_tokens.clone(),
            sealer: self.sealer.clone(),
            accounts: accounts(),
            clock: clock(),
        };
        let merge = MergeGuest::new(Arc::clone(&self.stores.chats), Arc::clone(&self.stores.ephemeral));
        let jobs: [Arc<dyn Job>; 7] = [
            Arc::new(Forget::new(accounts(), clock())),
            Arc::new(Purge::new(Arc::clone(&self.stores.chats), clock())),
            Arc::new(notify),
            Arc::new(ExchangeCode(apple.clone())),
            Arc::new(RevokeToken(apple)),
            Arc::new(merge),
            Arc::new(self.delete_user()),
        ];
        let (random, waker) = (Arc::clone(&self.random), self.jobs.clone());
        Runner::new(accounts(), jobs, clock(), random, Limits::DEFAULT, waker)
    }
}

impl Parts {
    /// Returns the job that deletes accounts, with its steps in their order.
    fn delete_user(&self) -> DeleteUser {
        let (accounts, chats) = (&self.stores.accounts, &self.stores.chats);
        let short_lived = || Box::new(ShortLived(Arc::clone(&self.stores.ephemeral)));
        let (clock, random) = (|| Arc::clone(&self.clock), || Arc::clone(&self.random));
        let user_object = UserObject { events: Arc::clone(&self.events), clock: clock(), random: random() };
        let provider_tokens =
            ProviderTokens { accounts: Arc::clone(accounts), clock: clock(), random: random() };
        let steps: Vec<Box<dyn Step>> = vec![
            Box::new(user_object),
            Box::new(provider_tokens),
            Box::new(Conversations(Arc::clone(chats))),
            short_lived(),
            Box::new(AccountRows(Arc::clone(accounts))),
        ];
        let sweeps: Vec<Box<dyn Step>> =
            vec![Box::new(ForgottenConversations(Arc::clone(chats))), short_lived()];
        DeleteUser::new(Arc::clone(accounts), steps, sweeps, clock(), random())
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
