//! The accounts port: users, credentials, sessions, usage.
//!
//! Every method is one atomic promise: all of it happened when it returns `Ok`, and repeating a write changes nothing
//! more. Ids and times come from the caller. No text that is to be stored has the character U+0000: requests with one are
//! refused, because not every adapter can store it.

use async_trait::async_trait;
use shared::{
    api::{
        account::User,
        usage::{Usage, UsageTotals},
    },
    auth::refresh::{ExchangeTerms, RefreshDecision},
    id::Id,
    time::Timestamp,
};

use super::error::StoreResult;

/// The SHA-256 of a refresh token: all that is stored of one.
pub type TokenHash = [u8; 32];

/// The most sessions, whoever's, that [`Accounts::open_session`] forgets beside those of the user. More than one, so that
/// less is left with every sign-in; few, because each has the refresh tokens of its last days.
pub const FORGOTTEN_AT_ONCE: u32 = 10;

/// A session that is about to begin, with its first refresh token.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The session.
    pub id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// What the user calls the device.
    pub device_name: Option<String>,
    /// The network it begins from, where that is known.
    pub network: Option<String>,
    /// When it begins.
    pub created_at: Timestamp,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
    /// Its first refresh token.
    pub refresh_hash: TokenHash,
    /// When that expires if it is not used.
    pub refresh_expires_at: Timestamp,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// The account is there.
    Created,
    /// Another account has this e-mail.
    EmailTaken,
}

/// What a password is checked against.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Whose it is.
    pub user: User,
    /// The password's hash in PHC form.
    pub password_hash: String,
    /// Whether a session of theirs that is on record, also one that is over, began from the network that was asked about.
    pub is_known_network: bool,
}

/// A session with its user.
#[derive(Clone, Debug)]
pub struct SessionOfUser {
    /// The session.
    pub id: Id,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
    /// When it was ended, if it was.
    pub ended_at: Option<Timestamp>,
    /// Whose it is.
    pub user: User,
}

/// An exchange of a refresh token for its successor.
#[derive(Clone, Debug)]
pub struct RefreshExchange {
    /// The token that was presented.
    pub presented: TokenHash,
    /// The tokens that may follow it: the first does when it is used now; the others are of secrets that were in use before,
    /// and may have followed it already. Not empty.
    pub successors: Vec<TokenHash>,
    /// When, and on which terms.
    pub terms: ExchangeTerms,
}

impl RefreshExchange {
    /// The token that follows when the presented one is used now.
    pub fn successor(&self) -> TokenHash {
        self.successors.first().copied().unwrap_or_default()
    }

    /// The successor to put in the place of the unused one that is stored, when the caller could not make that one again:
    /// its secret is gone. The client has never got it, or asks again because it was lost.
    pub fn replacement(&self, stored: &TokenHash) -> Option<TokenHash> {
        (!self.successors.contains(stored)).then(|| self.successor())
    }
}

/// What became of an exchange.
#[derive(Clone, Debug)]
pub enum RefreshOutcome {
    /// The successor is valid; also when the presented token was the newest used one, within the grace.
    Exchanged {
        /// The session, its user.
        session: Box<SessionOfUser>,
        /// The successor, one of those of the exchange.
        successor: TokenHash,
        /// When the successor expires if it is not used.
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
        /// Whose it was.
        user_id: Id,
    },
}

impl RefreshOutcome {
    /// What the decision on a token of this session comes to, once what it asks for is stored with this successor.
    pub fn of(decision: RefreshDecision, session: SessionOfUser, successor: TokenHash) -> Self {
        let user_id = session.user.id;
        match decision {
            RefreshDecision::Expired => Self::Unknown,
            RefreshDecision::Ended => Self::Ended { user_id },
            RefreshDecision::Reused => Self::Reused { user_id },
            RefreshDecision::Use(refresh_expires_at) | RefreshDecision::Again(refresh_expires_at) => {
                Self::Exchanged { session: Box::new(session), successor, refresh_expires_at }
            }
        }
    }
}

/// What a turn used.
#[derive(Clone, Debug)]
pub struct UsageEntry {
    /// The turn, which is counted once.
    pub turn_id: Id,
    /// Whose it is.
    pub user_id: Id,
    /// When it was taken on; its UTC day is the one it counts for.
    pub at: Timestamp,
    /// The model's alias.
    pub model: String,
    /// What it used.
    pub usage: Usage,
    /// Whether it failed.
    pub failed: bool,
}

/// The outcome of counting a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageOutcome {
    /// It is counted now.
    Counted,
    /// It was counted before, and nothing changed.
    Repeated,
    /// There is no such user, and nothing changed.
    NoUser,
}

/// The usage of one day and model. `cost_usd` is zero: no prices are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageRow {
    /// The day in UTC, `YYYY-MM-DD`.
    pub day: String,
    /// The model's alias.
    pub model: String,
    /// Its sums.
    pub totals: UsageTotals,
}

/// Users, credentials, sessions, usage.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// The name of the product behind, such as `sqlite`.
    fn backend(&self) -> &'static str;

    /// Answers when the store does.
    async fn ping(&self) -> StoreResult<()>;

    /// Creates a user with a password and a first session: all three or nothing. E-mails are unique as they are
    /// stored, in lower case. Repeated with the same user id, it is `Created` and changes nothing.
    async fn register(
        &self,
        user: User,
        password_hash: String,
        session: NewSession,
    ) -> StoreResult<Registration>;

    /// The user with this e-mail (in lower case), their password's hash, and whether they know this network. No network is
    /// known to nobody.
    async fn credential(&self, email: String, network: Option<String>) -> StoreResult<Option<Credential>>;

    /// Replaces the hash of a password by another one of the same password. False, and nothing happens, when the stored hash is
    /// neither `old` nor, after a repetition, `new`.
    async fn replace_password_hash(&self, user_id: Id, old: String, new: String) -> StoreResult<bool>;

    /// Begins a session. Forgets the sessions of the user that ended or expired before `forget_before`, and the oldest
    /// such ones of anybody, [`FORGOTTEN_AT_ONCE`] at most; without waiting for those that another call has in its hands.
    /// Repeated with the same session id, it changes nothing. False when there is no such user.
    async fn open_session(&self, session: NewSession, forget_before: Timestamp) -> StoreResult<bool>;

    /// A session of this user; `None` when it is absent or somebody else's.
    async fn session(&self, user_id: Id, session_id: Id) -> StoreResult<Option<SessionOfUser>>;

    /// Exchanges a refresh token for its successor. Of any number of exchanges at once the first decides and the others
    /// see what it did. Reuse of an older token ends the session in the same step. An unused successor that is none of the
    /// exchange's is replaced by its first, with the same end. What expired of the session's tokens is forgotten when one is
    /// used.
    async fn exchange_refresh(&self, exchange: RefreshExchange) -> StoreResult<RefreshOutcome>;

    /// Counts a turn, once, in its row and in the sums of its day.
    async fn record_usage(&self, entry: UsageEntry) -> StoreResult<UsageOutcome>;

    /// The sums of each day and model from `first_day` to `last_day`, both included, by day and model.
    async fn usage(&self, user_id: Id, first_day: String, last_day: String) -> StoreResult<Vec<UsageRow>>;
}
