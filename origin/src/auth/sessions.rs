//! From a session to tokens, and from a refresh token to the next pair.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{
    api::account::{AccountEventKind, Tokens, User},
    auth::refresh::ExchangeTerms,
    id::Id,
    limits::ip::network,
    time::{SECOND_MS, Timestamp},
};

use super::{
    Auth, AuthError, Requester, session_cache,
    throttle::{Guesser, Way},
    tokens::{OpaqueToken, TokenIssuer, seconds},
};
use crate::{
    detached::detached,
    events::Announcements,
    jobs::notify::refresh_token_reused,
    store::{
        Accounts, Ephemeral, StoreResult,
        accounts::{
            audit::AuditEvent,
            sessions::{NewSession, RefreshExchange, RefreshOutcome, ReuseJob},
            sign_ins::{ProvenSignIn, SignedIn},
        },
    },
};

/// The time for which the newest used refresh token gets its successor again, since a client whose response was lost
/// retries.
const REFRESH_GRACE_MS: i64 = 10_000;
/// The same after an exchange that a store's failure left undecided, and for so long that is remembered.
const UNDECIDED_MS: i64 = 10 * 60 * SECOND_MS;

/// The most open sessions of a user. When another one begins, the one that was used longest ago ends.
const MAX_OPEN_SESSIONS: u32 = 100;

/// A session that is about to begin, with the token its client will hold.
pub(crate) struct Opening {
    /// For the store.
    pub(crate) session: NewSession,
    refresh: OpaqueToken,
}

impl Auth {
    /// Prepares a session of this user that begins now, by this request.
    pub(crate) fn prepare_session(
        &self,
        user_id: Id,
        requester: &Requester,
        device_name: Option<String>,
        now: Timestamp,
    ) -> Opening {
        let refresh = TokenIssuer::opaque(&*self.random);
        let session = NewSession {
            id: self.random.id(now),
            user_id,
            device_name: named(device_name),
            platform: requester.platform,
            ip: requester.address(),
            network: network(&requester.ip).map(|network| network.to_string()),
            created_at: now,
            expires_at: self.tokens.session_expiry(now),
            refresh_hash: refresh.hash(),
            refresh_expires_at: self.tokens.refresh_expiry(now),
            cancellation_id: self.random.id(now),
        };
        Opening { session, refresh }
    }

    /// The tokens of a session that is stored.
    pub(super) fn tokens_of(&self, opening: Opening, user: User) -> Tokens {
        let Opening { session, refresh } = opening;
        self.pair(user, session.id, &refresh, session.refresh_expires_at, session.created_at)
    }

    /// Returns the event that this session begins, for the audit trail.
    pub(crate) fn opening_event(
        &self,
        opening: &Opening,
        kind: AccountEventKind,
        requester: &Requester,
    ) -> AuditEvent {
        let session = &opening.session;
        let event = self.audit_event(session.user_id, kind, Some(session.id), requester, session.created_at);
        AuditEvent { device_name: session.device_name.clone(), ..event }
    }

    /// Begins a session of somebody who has shown who they are, and ends those that are too many then.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::InvalidCredentials`] when the account was deleted or suspended meanwhile.
    pub(super) async fn open_session(
        &self,
        user: User,
        requester: &Requester,
        device_name: Option<String>,
        now: Timestamp,
        announcements: &Announcements,
    ) -> Result<Tokens, AuthError> {
        let opening = self.prepare_session(user.id, requester, device_name, now);
        let audit = self.opening_event(&opening, AccountEventKind::SignedIn, requester);
        let opened = self.accounts.open_session(opening.session.clone(), MAX_OPEN_SESSIONS, audit).await?;
        let surplus = opened.ok_or(AuthError::InvalidCredentials)?;
        self.end_all_of(&user, surplus, requester, announcements).await;
        Ok(self.tokens_of(opening, user))
    }

    /// Prepares the sign-in of somebody whose proof may come first: with the session, and this user where nobody is known.
    pub(super) fn prepare_proven(
        &self,
        new_user: User,
        requester: &Requester,
        device_name: Option<String>,
        now: Timestamp,
    ) -> (Opening, ProvenSignIn) {
        let opening = self.prepare_session(new_user.id, requester, device_name, now);
        let audit = self.opening_event(&opening, AccountEventKind::SignedUp, requester);
        let (session, event_id) = (opening.session.clone(), self.random.id(now));
        (opening, ProvenSignIn { new_user, session, event_id, audit })
    }

    /// Signs in by this write, and ends the sessions that are too many then. `None` when the write lets the user not in.
    pub(super) async fn open_proven<F>(
        &self,
        opening: Opening,
        requester: &Requester,
        announcements: &Announcements,
        write: impl FnOnce(Arc<dyn Accounts>) -> F + Send + 'static,
    ) -> Result<Option<Tokens>, AuthError>
    where
        F: Future<Output = StoreResult<Option<SignedIn>>> + Send,
    {
        let (accounts, ephemeral) = (Arc::clone(&self.accounts), Arc::clone(&self.ephemeral));
        let signed_in = detached(async move {
            let signed_in = write(accounts).await;
            if let Ok(Some(SignedIn { user, .. })) = &signed_in {
                session_cache::invalidate(&*ephemeral, user.id).await;
            }
            signed_in
        });
        let Some(SignedIn { user, is_new, event }) = signed_in.await?? else { return Ok(None) };
        if let Some(event) = event {
            announcements.add_stored(event);
        }
        if !is_new {
            self.end_surplus(&user, &opening, requester, announcements).await;
        }
        Ok(Some(self.tokens_of(opening, user)))
    }

    /// Ends the sessions of a user that are too many beside one that is stored.
    async fn end_surplus(
        &self,
        user: &User,
        opening: &Opening,
        requester: &Requester,
        announcements: &Announcements,
    ) {
        let session = NewSession { user_id: user.id, ..opening.session.clone() };
        let audit = self.opening_event(opening, AccountEventKind::SignedIn, requester);
        // The session is there, so this changes nothing.
        match self.accounts.open_session(session, MAX_OPEN_SESSIONS, audit).await {
            Ok(surplus) => {
                self.end_all_of(user, surplus.unwrap_or_default(), requester, announcements).await;
            }
            Err(error) => tracing::warn!(%error, "sessions that may be too many were not counted"),
        }
    }

    async fn end_all_of(
        &self,
        user: &User,
        sessions: Vec<Id>,
        requester: &Requester,
        announcements: &Announcements,
    ) {
        for session_id in sessions {
            if let Err(error) = self.end_session(user.id, session_id, requester, announcements).await {
                tracing::warn!(%error, "a session that is too many was not ended; the next sign-in ends it");
            }
        }
    }

    /// Returns the next pair for a refresh token.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::TokenInvalid`] when there is no such token or it has expired, [`AuthError::SessionEnded`] when
    /// its session has ended, or ends now because the token had been used before.
    pub async fn refresh(
        &self,
        presented: &str,
        requester: &Requester,
        announcements: &Announcements,
    ) -> Result<Tokens, AuthError> {
        let now = self.clock.now();
        let presented = OpaqueToken::decode(presented).ok_or(AuthError::TokenInvalid)?;
        let guesser = Guesser::of_token(Way::Refresh, &requester.ip);
        let counted = self.throttle.begin_guess(&*self.ephemeral, guesser, now).await?;
        let mut successors = self.tokens.successors(&presented);
        let exchange = RefreshExchange {
            presented: presented.hash(),
            successors: successors.iter().map(OpaqueToken::hash).collect(),
            terms: ExchangeTerms {
                successor_expires_at: self.tokens.refresh_expiry(now),
                now,
                grace_ms: REFRESH_GRACE_MS,
            },
            ip: requester.address(),
            request_id: requester.request_id.clone(),
            event_id: self.random.id(now),
            audit_id: self.random.id(now),
            on_reuse: ReuseJob { id: self.random.id(now), make: refresh_token_reused },
        };
        match self.exchange(exchange).await? {
            RefreshOutcome::Exchanged { session, successor, refresh_expires_at } => {
                successors.retain(|token| token.hash() == successor);
                let successor = successors
                    .pop()
                    .ok_or_else(|| AuthError::Internal("the stored successor is none of those".to_owned()))?;
                Ok(self.pair(session.user, session.id, &successor, refresh_expires_at, now))
            }
            RefreshOutcome::Unknown => {
                self.throttle.end_wrong_guess(&*self.ephemeral, counted, now).await;
                Err(AuthError::TokenInvalid)
            }
            RefreshOutcome::Ended { .. } => Err(AuthError::SessionEnded),
            RefreshOutcome::Reused { event } => {
                announcements.add_stored(event);
                self.jobs.wake();
                tracing::warn!("a refresh token was used twice; its session has been ended");
                Err(AuthError::SessionEnded)
            }
        }
    }

    /// Exchanges, and lets no end of a session be told before what is cached of it is forgotten. A repetition does it again,
    /// so an answer that was lost on the way from the store is made good.
    ///
    /// A store that fails may have made the exchange all the same, or make it when it comes back: whoever was told to try
    /// again later is forgiven for longer. This is known before the exchange, because that ends the session where it does
    /// not forgive.
    async fn exchange(&self, mut exchange: RefreshExchange) -> Result<RefreshOutcome, AuthError> {
        let (accounts, ephemeral) = (Arc::clone(&self.accounts), Arc::clone(&self.ephemeral));
        let outcome = detached(async move {
            if is_undecided(&*ephemeral, &exchange).await {
                exchange.terms.grace_ms = UNDECIDED_MS;
            }
            let outcome = accounts.exchange_refresh(exchange.clone()).await;
            match &outcome {
                Ok(RefreshOutcome::Ended { user_id }) => {
                    session_cache::invalidate(&*ephemeral, *user_id).await;
                }
                Ok(RefreshOutcome::Reused { event }) => {
                    session_cache::invalidate(&*ephemeral, event.user_id).await;
                }
                Ok(RefreshOutcome::Exchanged { .. } | RefreshOutcome::Unknown) => (),
                Err(_) => set_undecided(&*ephemeral, &exchange).await,
            }
            outcome
        });
        Ok(outcome.await??)
    }

    pub(super) fn pair(
        &self,
        user: User,
        session_id: Id,
        refresh: &OpaqueToken,
        refresh_expires_at: Timestamp,
        now: Timestamp,
    ) -> Tokens {
        Tokens {
            access_token: self.tokens.access(&user, session_id, now, &*self.random),
            refresh_token: refresh.encode(),
            token_type: "bearer".into(),
            expires_in: self.tokens.access_lifetime_s(),
            refresh_expires_in: seconds(refresh_expires_at.millis_since(now)),
            session_id,
            user,
        }
    }
}

/// Returns the name of a device, unless it is blank.
pub(super) fn named(device_name: Option<String>) -> Option<String> {
    device_name.filter(|name| !name.trim().is_empty())
}

/// Returns whether an exchange of this token was left undecided. Where that cannot be told it was not: nobody is forgiven on a
/// guess.
async fn is_undecided(store: &dyn Ephemeral, exchange: &RefreshExchange) -> bool {
    let known = store.get(&undecided_key(exchange), exchange.terms.now).await;
    known.is_ok_and(|known| known.is_some())
}

/// Remembers that this exchange was left undecided, from the first time on: the grace begins with an exchange, too.
async fn set_undecided(store: &dyn Ephemeral, exchange: &RefreshExchange) {
    let now = exchange.terms.now;
    let until = now.plus_millis(UNDECIDED_MS);
    if let Err(error) = store.get_or_insert(&undecided_key(exchange), Vec::new(), until, now).await {
        tracing::warn!(error = %error, "an undecided exchange of a refresh token is not remembered");
    }
}

fn undecided_key(exchange: &RefreshExchange) -> String {
    format!("refresh-undecided:{}", URL_SAFE_NO_PAD.encode(exchange.presented))
}
