//! Sessions and their chains of refresh tokens.

use async_trait::async_trait;
use shared::{
    api::{
        account::{AccountEventKind, Platform, User},
        internal::user_event::{AddressedEvent, UserEvent},
    },
    auth::refresh::{ExchangeTerms, RefreshDecision},
    id::Id,
    time::Timestamp,
};

use super::{TimePosition, audit::AuditEvent, jobs::NewJob};
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
    /// The kind of program it begins in, where that is known.
    pub platform: Option<Platform>,
    /// The address it begins from, where that is known.
    pub ip: Option<String>,
    /// The network of that address.
    pub network: Option<String>,
    /// The time at which it starts.
    pub created_at: Timestamp,
    /// The time at which it expires, however often it is refreshed.
    pub expires_at: Timestamp,
    /// Its first refresh token.
    pub refresh_hash: TokenHash,
    /// The time at which that token expires if it is not used.
    pub refresh_expires_at: Timestamp,
    /// The id of the event of the audit trail that notes that this sign-in undid the deletion of the account, should it do so.
    pub cancellation_id: Id,
}

impl NewSession {
    /// Returns the event that notes in the audit trail of a user that this sign-in undid the deletion of their account; `opening` is
    /// the one that notes the sign-in.
    pub fn cancellation_event(&self, user_id: Id, opening: &AuditEvent) -> AuditEvent {
        let (id, kind) = (self.cancellation_id, AccountEventKind::DeletionCancelled);
        AuditEvent { id, user_id, kind, ..opening.clone() }
    }
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

/// A session in a list of its user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    /// The session.
    pub id: Id,
    /// The user's name of the device.
    pub device_name: Option<String>,
    /// The kind of program it began in, where that is known.
    pub platform: Option<Platform>,
    /// The address it was used from last, where that is known.
    pub ip: Option<String>,
    /// The time at which it began.
    pub created_at: Timestamp,
    /// The time at which it began or a token of it was exchanged last.
    pub last_used_at: Timestamp,
    /// The time at which it ends whatever happens.
    pub expires_at: Timestamp,
}

impl ListedSession {
    /// Its place in the list.
    pub fn position(&self) -> TimePosition {
        TimePosition { at: self.created_at, id: self.id }
    }
}

/// A part of a user's open sessions, those that began last first.
#[derive(Clone, Copy, Debug)]
pub struct SessionsPage {
    /// Open is what expires after this time,
    pub now: Timestamp,
    /// and was used after this one.
    pub unused_since: Timestamp,
    /// The last one of the page before.
    pub after: Option<TimePosition>,
    /// The most sessions.
    pub limit: u32,
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
    /// The address that the token was presented from, where that is known.
    pub ip: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The id of the event that tells of the session's end, should the exchange end it.
    pub event_id: Id,
    /// The id of the event of the audit trail that notes that end.
    pub audit_id: Id,
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

    /// The event that notes in the audit trail that this session ended by the exchange.
    pub fn audit_event(&self, user_id: Id, session_id: Id) -> AuditEvent {
        AuditEvent {
            id: self.audit_id,
            user_id,
            at: self.terms.now,
            kind: AccountEventKind::RefreshTokenReused,
            session_id: Some(session_id),
            ip: self.ip.clone(),
            device_name: None,
            request_id: self.request_id.clone(),
        }
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

/// The most sessions that one call of [`Sessions::open_session`] finds to be too many.
pub const MAX_SURPLUS: u32 = 10;

/// Sessions of users.
///
/// An event of the audit trail that comes with a write is noted in the same step, where the write changes something.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Begins a session, and undoes the deletion of the account if that was asked for. Repeated with the same session id, it changes
    /// nothing. Returns up to [`MAX_SURPLUS`] other sessions of the user that are open beyond the `most` that were used last, this one
    /// counted; `None` when there is no such user, they are suspended, or their deletion has begun.
    async fn open_session(
        &self,
        session: NewSession,
        most: u32,
        audit: AuditEvent,
    ) -> StoreResult<Option<Vec<Id>>>;

    /// A session of this user; `None` when it is absent or somebody else's.
    async fn session(&self, user_id: Id, session_id: Id) -> StoreResult<Option<SessionOfUser>>;

    /// A page of this user's open sessions.
    async fn sessions(&self, user_id: Id, page: SessionsPage) -> StoreResult<Vec<ListedSession>>;

    /// Exchanges a refresh token for its successor. Of any number of exchanges at once the first decides and the others
    /// see what it did. Reuse of an older token ends the session, stores the event that tells of it, notes it in the audit trail and
    /// schedules the exchange's job in the same step. An unused successor that is none of the
    /// exchange's is replaced by its first, with the same end. What expired of the session's tokens is forgotten when one is
    /// used, and the address is then the session's.
    async fn exchange_refresh(&self, exchange: RefreshExchange) -> StoreResult<RefreshOutcome>;

    /// Ends a session of this user at the time of the event that tells of it, and stores that. False, and nothing happens, when it
    /// is absent, somebody else's, or ended at another time.
    async fn end_session(
        &self,
        user_id: Id,
        session_id: Id,
        event: AddressedEvent,
        audit: AuditEvent,
    ) -> StoreResult<bool>;

    /// Ends the sessions of this user that began by the time of the event that tells of it, but for one, and stores that event
    /// where any was open. Returns how many were.
    async fn end_sessions(
        &self,
        user_id: Id,
        except: Option<Id>,
        event: AddressedEvent,
        audit: AuditEvent,
    ) -> StoreResult<u64>;

    /// Forgets the sessions that ended or expired before this time, with their refresh tokens, the oldest `limit` of them;
    /// without waiting for those that another call has in its hands. Returns how many went.
    async fn forget_sessions(&self, over_before: Timestamp, limit: u32) -> StoreResult<u64>;
}
