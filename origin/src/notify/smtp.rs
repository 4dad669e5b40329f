//! The adapter for an SMTP server.
//!
//! - [`mail`]: a message as a mail
//!
//! Connections are kept for the next mail. The library has a pool, too, but that takes a connection back whose call was given up
//! half-way, and the next mail would read the answers of the one before.

mod mail;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use lettre::transport::smtp::{
    self,
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, Certificate, TlsParameters},
    extension::ClientId,
};
use shared::time::{SECOND_MS, Timestamp};

use self::mail::Mail;
use super::{Message, Messenger, SendError};
use crate::{
    clock::Clock,
    config::notify::{SmtpConfig, smtp::SmtpTls},
};

/// The time for a whole delivery.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time in which a kept connection shows that it is still one.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// The most connections that are kept.
const MAX_KEPT: usize = 2;
/// The longest time that a connection is kept without a mail; servers close theirs after some minutes.
const MAX_IDLE_MS: i64 = 30 * SECOND_MS;

/// Sends mails to a server.
pub struct Smtp {
    config: SmtpConfig,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    client_name: ClientId,
    kept: Mutex<Vec<Kept>>,
    clock: Arc<dyn Clock>,
    /// For a whole delivery.
    timeout: Duration,
}

/// A connection between two mails.
struct Kept {
    connection: AsyncSmtpConnection,
    since: Timestamp,
}

impl Smtp {
    /// Makes a client of this server; it is not called yet.
    ///
    /// # Errors
    /// Fails when TLS cannot be set up.
    pub fn new(config: &SmtpConfig, clock: Arc<dyn Clock>) -> Result<Self, smtp::Error> {
        let tls = match config.tls {
            SmtpTls::Off => None,
            SmtpTls::Implicit | SmtpTls::Required | SmtpTls::Opportunistic => Some(tls(config)?),
        };
        let credentials = config
            .login
            .as_ref()
            .map(|(user, password)| Credentials::new(user.clone(), password.expose().to_owned()));
        Ok(Self {
            tls,
            credentials,
            client_name: ClientId::Domain(config.client_name.clone()),
            config: config.clone(),
            kept: Mutex::default(),
            clock,
            timeout: TIMEOUT,
        })
    }

    async fn deliver(&self, mail: &Mail) -> Result<(), SendError> {
        let mut connection = match self.reuse().await {
            Some(connection) => connection,
            None => self.connect().await.map_err(|error| SendError::Unavailable(reason(&error)))?,
        };
        // A connection whose call is given up is dropped with this future.
        connection.send(&mail.envelope, &mail.content).await.map_err(|error| refusal(&error))?;
        self.keep(connection);
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let implicit = self.tls.clone().filter(|_| self.config.tls == SmtpTls::Implicit);
        let server = (self.config.host.as_str(), self.config.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(
            server,
            Some(CONNECT_TIMEOUT),
            &self.client_name,
            implicit,
            None,
        );
        let mut connection = connecting.await?;
        let upgrades = match self.config.tls {
            SmtpTls::Implicit | SmtpTls::Off => false,
            SmtpTls::Required => true,
            SmtpTls::Opportunistic => connection.can_starttls(),
        };
        if let Some(tls) = self.tls.clone().filter(|_| upgrades) {
            connection.starttls(tls, &self.client_name).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    /// Returns a kept connection that works.
    async fn reuse(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let Kept { mut connection, since } = self.kept().pop()?;
            if self.clock.now().millis_since(since) < MAX_IDLE_MS
                && tokio::time::timeout(CHECK_TIMEOUT, connection.test_connected()).await == Ok(true)
            {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let since = self.clock.now();
        let mut kept = self.kept();
        if kept.len() < MAX_KEPT {
            kept.push(Kept { connection, since });
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Messenger for Smtp {
    async fn send(&self, message: Message) -> Result<(), SendError> {
        let mail = Mail::compose(&message, &self.config.from, self.clock.now())?;
        let late = || SendError::Unavailable("it did not take the mail in time".to_owned());
        tokio::time::timeout(self.timeout, self.deliver(&mail)).await.unwrap_or_else(|_| Err(late()))
    }
}

/// Trusts whom the system trusts, and the configured certificates.
fn tls(config: &SmtpConfig) -> Result<TlsParameters, smtp::Error> {
    let mut tls = TlsParameters::builder(config.host.clone());
    for root in &config.roots {
        tls = tls.add_root_certificate(Certificate::from_der(root.to_vec())?);
    }
    tls.build()
}

/// Returns what the server's answer to a mail means. The server has let this client in, so a refusal is of this mail, but for the
/// codes that are of the connection: that it closes (421), that TLS or authentication fails or is missing (454, 530, 534, 535, 538),
/// or that a command is none (500, 502, 503, 504). Codes are those of RFC 5321 and RFC 4954.
fn refusal(error: &smtp::Error) -> SendError {
    const OF_THE_CONNECTION: [u16; 10] = [421, 454, 500, 502, 503, 504, 530, 534, 535, 538];
    let reason = reason(error);
    match error.status().map(u16::from) {
        Some(code) if OF_THE_CONNECTION.contains(&code) => SendError::Unavailable(reason),
        Some(_) if error.is_permanent() => SendError::Refused(reason),
        Some(_) => SendError::Postponed(reason),
        // The server lacks what the mail needs, such as letters beyond ASCII in addresses.
        None if error.is_client() => SendError::Refused(reason),
        None => SendError::Unavailable(reason),
    }
}

/// Returns the reason of a failure. Of the server's words only its codes: the rest may name the recipient or quote the mail.
fn reason(error: &smtp::Error) -> String {
    let Some(code) = error.status() else {
        return if error.is_response() { "its answer cannot be read".to_owned() } else { error.to_string() };
    };
    let words = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let enhanced = words.split_whitespace().next().filter(|word| is_enhanced_code(word));
    enhanced
        .map_or_else(|| format!("it answered {code}"), |enhanced| format!("it answered {code} {enhanced}"))
}

/// Returns true for a code of RFC 3463, such as `5.1.1`.
fn is_enhanced_code(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}
