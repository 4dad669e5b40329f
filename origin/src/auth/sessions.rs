//! From a sign-in to tokens, and from a refresh token to the next pair.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{
    api::{
        ErrorCode,
        account::{Tokens, User},
    },
    auth::refresh::ExchangeTerms,
    id::Id,
    limits::ip::network,
    time::{DAY_MS, SECOND_MS, Timestamp},
};

use super::{
    live,
    tokens::{RefreshToken, TokenIssuer, seconds},
};
use crate::{
    app::App,
    http::{ClientIp, Failure, detached},
    store::{
        Ephemeral,
        accounts::sessions::{NewSession, RefreshExchange, RefreshOutcome},
    },
};

/// How long the newest used refresh token still gets its successor again: a client whose answer was lost tries again.
const REFRESH_GRACE_MS: i64 = 10_000;
/// The same after an exchange that a store's failure left undecided, and for so long that is remembered.
const UNDECIDED_MS: i64 = 10 * 60 * SECOND_MS;
/// How long a session stays on record after its end, at least, in days.
const KEEP_EXPIRED_DAYS: i64 = 30;

/// A session that is about to begin, with the token its client will hold.
pub struct Opening {
    /// For the store.
    pub session: NewSession,
    refresh: RefreshToken,
}

impl Opening {
    /// A session of this user that begins now, from this address.
    pub fn prepare(
        app: &App,
        user_id: Id,
        ip: &ClientIp,
        device_name: Option<String>,
        now: Timestamp,
    ) -> Self {
        let refresh = TokenIssuer::refresh(&*app.random);
        let session = NewSession {
            id: app.random.id(now),
            user_id,
            device_name: device_name.filter(|name| !name.trim().is_empty()),
            network: network(&ip.0).map(|network| network.to_string()),
            created_at: now,
            expires_at: app.tokens.session_expiry(now),
            refresh_hash: refresh.hash(),
            refresh_expires_at: app.tokens.refresh_expiry(now),
        };
        Self { session, refresh }
    }

    /// The tokens of the session, once it is stored.
    pub fn into_tokens(self, app: &App, user: User) -> Tokens {
        let Self { session, refresh } = self;
        tokens(app, user, session.id, &refresh, session.refresh_expires_at, session.created_at)
    }
}

/// Begins a session of somebody who has shown who they are.
pub async fn open(
    app: &App,
    user: User,
    ip: &ClientIp,
    device_name: Option<String>,
    now: Timestamp,
) -> Result<Tokens, Failure> {
    let opening = Opening::prepare(app, user.id, ip, device_name, now);
    let forget_before = now.plus_millis(-KEEP_EXPIRED_DAYS * DAY_MS);
    if !app.stores.accounts.open_session(opening.session.clone(), forget_before).await? {
        // The account was deleted between the check of the password and here.
        return Err(ErrorCode::InvalidCredentials.into());
    }
    Ok(opening.into_tokens(app, user))
}

/// The next pair for a refresh token.
///
/// Errors: [`ErrorCode::TokenInvalid`] when there is no such token or it has expired, [`ErrorCode::SessionEnded`] when its
/// session has ended, or ends now because the token had been used before.
pub async fn refresh(app: &App, presented: &str, now: Timestamp) -> Result<Tokens, Failure> {
    let presented = RefreshToken::decode(presented).ok_or(ErrorCode::TokenInvalid)?;
    let mut successors = app.tokens.successors(&presented);
    let exchange = RefreshExchange {
        presented: presented.hash(),
        successors: successors.iter().map(RefreshToken::hash).collect(),
        terms: ExchangeTerms {
            successor_expires_at: app.tokens.refresh_expiry(now),
            now,
            grace_ms: REFRESH_GRACE_MS,
        },
    };
    match exchanged(app, exchange).await? {
        RefreshOutcome::Exchanged { session, successor, refresh_expires_at } => {
            successors.retain(|token| token.hash() == successor);
            let successor = successors
                .pop()
                .ok_or_else(|| Failure::Internal("the stored successor is none of those".to_owned()))?;
            Ok(tokens(app, session.user, session.id, &successor, refresh_expires_at, now))
        }
        RefreshOutcome::Unknown => Err(ErrorCode::TokenInvalid.into()),
        RefreshOutcome::Ended { .. } => Err(ErrorCode::SessionEnded.into()),
        RefreshOutcome::Reused { .. } => {
            tracing::warn!("a refresh token was used twice; its session has been ended");
            Err(ErrorCode::SessionEnded.into())
        }
    }
}

/// Exchanges, and lets no end of a session be told before what is remembered of it is forgotten. A repetition does it again,
/// so an answer that was lost on the way from the store is made good.
///
/// A store that fails may have made the exchange all the same, or make it when it comes back: whoever was told to try again
/// later is forgiven for longer. This is known before the exchange, because that ends the session where it does not forgive.
async fn exchanged(app: &App, mut exchange: RefreshExchange) -> Result<RefreshOutcome, Failure> {
    let stores = app.stores.clone();
    let outcome = detached(async move {
        if is_undecided(&*stores.ephemeral, &exchange).await {
            exchange.terms.grace_ms = UNDECIDED_MS;
        }
        let outcome = stores.accounts.exchange_refresh(exchange.clone()).await;
        match &outcome {
            Ok(RefreshOutcome::Ended { user_id } | RefreshOutcome::Reused { user_id }) => {
                live::forget(&*stores.ephemeral, *user_id).await;
            }
            Ok(RefreshOutcome::Exchanged { .. } | RefreshOutcome::Unknown) => (),
            Err(_) => set_undecided(&*stores.ephemeral, &exchange).await,
        }
        outcome
    });
    Ok(outcome.await??)
}

/// Whether an exchange of this token was left undecided. Where that cannot be told it was not: nobody is forgiven on a guess.
async fn is_undecided(store: &dyn Ephemeral, exchange: &RefreshExchange) -> bool {
    let known = store.recall(&undecided_key(exchange), exchange.terms.now).await;
    known.is_ok_and(|known| known.is_some())
}

/// Remembers that this exchange was left undecided, from the first time on: the grace begins with an exchange, too.
async fn set_undecided(store: &dyn Ephemeral, exchange: &RefreshExchange) {
    let now = exchange.terms.now;
    let until = now.plus_millis(UNDECIDED_MS);
    if let Err(error) = store.remember(&undecided_key(exchange), Vec::new(), until, now).await {
        tracing::warn!(error = %error, "an undecided exchange of a refresh token is not remembered");
    }
}

fn undecided_key(exchange: &RefreshExchange) -> String {
    format!("refresh-undecided:{}", URL_SAFE_NO_PAD.encode(exchange.presented))
}

fn tokens(
    app: &App,
    user: User,
    session_id: Id,
    refresh: &RefreshToken,
    refresh_expires_at: Timestamp,
    now: Timestamp,
) -> Tokens {
    Tokens {
        access_token: app.tokens.access(&user, session_id, now, &*app.random),
        refresh_token: refresh.encode(),
        token_type: "bearer".into(),
        expires_in: app.tokens.access_lifetime_s(),
        refresh_expires_in: seconds(refresh_expires_at.millis_since(now)),
        session_id,
        user,
    }
}
