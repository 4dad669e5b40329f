//! Sessions and their chains of refresh tokens.

use async_trait::async_trait;
use shared::{
    api::{
        account::User,
        internal::user_event::{AddressedEvent, UserEvent},
    },
    auth::refresh::{ExchangeTerms, RefreshDecision},
    id::Id,
    time::Timestamp,
};

use super::jobs::NewJob;
use crate::store::error::StoreResult;

/// The SHA-256 of a refresh token: all that is stored of one.
pub type TokenHash = [u8; 32];

/// A session that is about to begin, with its first refresh token.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The session.
    pub id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// The user's name for the device.
    pub device_name: Option<String>,
    /// The network it begins from, where that is known.
    pub network: Option<String>,
    /// The time at which it starts.
    pub created_at: Timestamp,
    /// The time at which it expires, however often it is refreshed.
    pub expires_at: Timestamp,
    /// Its first refresh token.
    pub refresh_hash: TokenHash,
    /// The time at which that token expires if it is not used.
    pub refresh_expires_at: Timestamp,
}

/// A session with its user.
#[derive(Clone, Debug)]
pub struct SessionOfUser {
    /// The session.
    pub id: Id,
    /// The time at which it expires, however often it is refreshed.
    pub expires_at: Timestamp,
    /// The time at which it was ended, if it was.
    pub ended_at: Option<Timestamp>,
    /// Whose it is.
    pub user: User,
}

/// The job that is scheduled when an exchange ends the session.
#[derive(Clone, Copy, Debug)]
pub struct ReuseJob {
    /// The id of the job.
    pub id: Id,
    /// Makes it, of its id, the session and the time.
    pub make: fn(Id, &SessionOfUser, Timestamp) -> NewJob,
}

/// An exchange of a refresh token for its successor.
#[derive(Clone, Debug)]
pub struct RefreshExchange {
    /// The token that was presented.
    pub presented: TokenHash,
    /// The tokens that may follow it: the first does when it is used now; the others are of secrets that were in use before,
    /// and may have followed it already. Not empty.
    pub successors: Vec<TokenHash>,
    /// The time and the rules of the exchange.
    pub terms: ExchangeTerms,
    /// The id of the event that tells of the session's end, should the exchange end it.
    pub event_id: Id,
    /// The job to schedule when the presented token had been used, and the session ends.
    pub on_reuse: ReuseJob,
}

impl RefreshExchange {
    /// The token that follows when the presented one is used now.
    pub fn successor(&self) -> TokenHash {
        self.successors.first().copied().unwrap_or_default()
    }

    /// The event that tells that this session of this user ended by the exchange.
    pub fn end_event(&self, user_id: Id, session_id: Id) -> AddressedEvent {
        let event = UserEvent::SessionEnded { session_id };
        AddressedEvent { id: self.event_id, user_id, at: self.terms.now, event }
    }

    /// The job to schedule when this session ends by the exchange.
    pub fn reuse_job(&self, session: &SessionOfUser) -> NewJob {
        (self.on_reuse.make)(self.on_reuse.id, session, self.terms.now)
    }

    /// The successor to put in the place of the unused one that is stored, when the caller could not make that one again:
    /// its secret is gone. The client has never got it, or asks again because it was lost.
    pub fn replacement(&self, stored: &TokenHash) -> Option<TokenHash> {
        (!self.successors.contains(stored)).then(|| self.successor())
    }
}

/// The outcome of an exchange.
#[derive(Clone, Debug)]
pub enum RefreshOutcome {
    /// The successor is valid; also when the presented token was the newest used one, within the grace.
    Exchanged {
        /// The session, its user.
        session: Box<SessionOfUser>,
        /// The successor, one of those of the exchange.
        successor: TokenHash,
        /// The time at which the successor expires if it is not used.
        refresh_expires_at: Timestamp,
    },
    /// No such token, or it or its session has expired.
    Unknown,
    /// The session has ended before.
    Ended {
        /// Whose it was.
        user_id: Id,
    },
    /// The token had been used: somebody has a copy. The session has been ended.
    Reused {
        /// The event that tells of it, which is stored.
        event: AddressedEvent,
    },
}

impl RefreshOutcome {
    /// The outcome of the decision on a token of this session, once what it asks for is stored with this successor.
    pub fn of(
        decision: RefreshDecision,
        exchange: &RefreshExchange,
        session: SessionOfUser,
        successor: TokenHash,
    ) -> Self {
        let user_id = session.user.id;
        match decision {
            RefreshDecision::Expired => Self::Unknown,
            RefreshDecision::Ended => Self::Ended { user_id },
            RefreshDecision::Reused => Self::Reused { event: exchange.end_event(user_id, session.id) },
            RefreshDecision::Use(refresh_expires_at) | RefreshDecision::Again(refresh_expires_at) => {
                Self::Exchanged { session: Box::new(session), successor, refresh_expires_at }
            }
        }
    }
}

/// Sessions of users.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Begins a session. Repeated with the same session id, it changes nothing. False when there is no such user.
    async fn open_session(&self, session: NewSession) -> StoreResult<bool>;

    /// A session of this user; `None` when it is absent or somebody else's.
    async fn session(&self, user_id: Id, session_id: Id) -> StoreResult<Option<SessionOfUser>>;

    /// Exchanges a refresh token for its successor. Of any number of exchanges at once the first decides and the others
    /// see what it did. Reuse of an older token ends the session, stores the event that tells of it and schedules the
    /// exchange's job in the same step. An unused successor that is none of the
    /// exchange's is replaced by its first, with the same end. What expired of the session's tokens is forgotten when one is
    /// used.
    async fn exchange_refresh(&self, exchange: RefreshExchange) -> StoreResult<RefreshOutcome>;

    /// Ends a session of this user at the time of the event that tells of it, and stores that. False, and nothing happens,
    /// when it is absent, somebody else's, or ended at another time.
    async fn end_session(&self, user_id: Id, session_id: Id, event: AddressedEvent) -> StoreResult<bool>;

    /// Ends the sessions of this user that began by the time of the event that tells of it, but for one, and stores that
    /// event where any was open. Returns how many were.
    async fn end_sessions(&self, user_id: Id, except: Option<Id>, event: AddressedEvent) -> StoreResult<u64>;

    /// Forgets the sessions that ended or expired before this time, with their refresh tokens, the oldest `limit` of them;
    /// without waiting for those that another call has in its hands. Returns how many went.
    async fn forget_sessions(&self, over_before: Timestamp, limit: u32) -> StoreResult<u64>;
}
