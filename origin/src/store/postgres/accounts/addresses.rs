//! Addresses of users.

use async_trait::async_trait;
use shared::{
    address::Address,
    api::{
        account::{Platform, User},
        internal::user_event::AddressedEvent,
    },
    id::Id,
};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
    users::{self, FirstSession},
};
use crate::store::{
    accounts::{
        Addresses,
        addresses::{AddressChange, AddressChangeOutcome, AddressOwner, AddressSignIn},
        audit::AuditEvent,
        sessions::NewSession,
        sign_ins::SignedIn,
    },
    error::{StoreError, StoreResult},
    postgres::{
        pool::Connection,
        row::{Columns, key},
        step_error::{Step, StepError},
    },
    values::event_json,
};

#[async_trait]
impl Addresses for PostgresAccounts {
    async fn user_by_address(&self, address: Address) -> StoreResult<Option<User>> {
        let address = &address;
        self.0.run(|c| async move { users::found(find(&c, address).await?) }).await
    }

    async fn address_owner(
        &self,
        address: Address,
        network: Option<String>,
    ) -> StoreResult<Option<AddressOwner>> {
        let (address, network) = (&address, network.as_deref());
        self.0
            .run(|c| async move {
                let owner = c.row(OWNER, &[&address.as_email(), &address.as_phone(), &network]).await?;
                Ok(owner.map(|row| read_owner(&mut Columns::of("users", &row))).transpose()?)
            })
            .await
    }

    async fn sign_in_by_address(&self, sign_in: AddressSignIn) -> StoreResult<Option<SignedIn>> {
        let sign_in = &sign_in;
        self.0.run(|c| async move { sign_in_user(&c, sign_in).await }).await
    }

    async fn verify_email(&self, user_id: Id, email: String, audit: AuditEvent) -> StoreResult<bool> {
        let (user_id, email, audit) = (&key(user_id), &email, &audit_json(&audit));
        self.0.run(|c| async move { Ok(c.row(VERIFY, &[user_id, email, audit]).await?.is_some()) }).await
    }

    async fn change_address(&self, change: AddressChange) -> StoreResult<AddressChangeOutcome> {
        let change = &change;
        self.0.run(|c| async move { change_of_user(&c, change).await }).await
    }
}

const BY_ADDRESS: &str =
    concat!("SELECT ", users::user_columns!(), " FROM users u WHERE u.email = $1 OR u.phone = $2");

async fn find(c: &Connection, address: &Address) -> Step<Option<tokio_postgres::Row>> {
    c.row(BY_ADDRESS, &[&address.as_email(), &address.as_phone()]).await
}

const OWNER: &str = "\
    SELECT u.id, EXISTS (SELECT FROM sessions s WHERE s.user_id = u.id AND s.network = $3) \
    FROM users u WHERE u.email = $1 OR u.phone = $2";

fn read_owner(columns: &mut Columns<'_>) -> StoreResult<AddressOwner> {
    Ok(AddressOwner { user_id: columns.id("id")?, is_known_network: columns.get("network")? })
}

/// Takes the row of whoever has the address, so that sign-ins follow one another.
const LOCK: &str = "SELECT FROM users WHERE email = $1 OR phone = $2 FOR NO KEY UPDATE";

/// Whoever has the address, and whether they may sign in.
const KNOWN: &str = concat!(
    "SELECT ",
    users::user_columns!(),
    ", ",
    users::may_sign_in!(),
    " FROM users u WHERE u.email = $1 OR u.phone = $2"
);

/// Opens a session of a user who is there, and undoes the deletion of their account. Where they had not verified the address, it is
/// verified, and whatever was there before is removed.
const SIGN_IN: &str = concat!(
    "WITH cancelled AS ( \
        SELECT id FROM users WHERE id = $1 AND deletes_at IS NOT NULL \
    ), changed AS ( \
        UPDATE users SET email_verified = email_verified OR $4 AND coalesce(email = $2::text, false), \
            phone = CASE WHEN $4 THEN $3::text ELSE phone END, \
            phone_verified = CASE WHEN $4 THEN $3::text IS NOT NULL ELSE phone_verified END, \
            deletion_requested_at = NULL, deletes_at = NULL \
        WHERE id = $1 AND ($4 OR deletes_at IS NOT NULL) \
    ), removed AS ( \
        DELETE FROM credentials WHERE user_id = $1 AND $4 \
    ), removed_passkeys AS ( \
        DELETE FROM passkeys WHERE user_id = $1 AND $4 \
    ), unlinked AS ( \
        DELETE FROM identities WHERE user_id = $1 AND $4 \
    ), ended AS ( \
        UPDATE sessions SET ended_at = $5 \
        WHERE user_id = $1 AND ended_at IS NULL AND created_at <= $5 AND id <> $8::uuid AND $4 RETURNING id \
    ), appended AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) \
        SELECT $6::uuid, $1, $5::bigint, $7::text, $5::bigint WHERE EXISTS (SELECT FROM ended) \
        ON CONFLICT (id) DO NOTHING \
    ), opened AS ( \
        INSERT INTO sessions (id, user_id, device_name, platform, ip, network, created_at, last_used_at, expires_at) \
        VALUES ($8, $1, $9::text, $14::text, $15::text, $10::text, $5::bigint, $5::bigint, $11::bigint) \
        ON CONFLICT (id) DO NOTHING RETURNING id \
    ), ",
    audited!("$16", "opened"),
    ", ",
    audited!("cancel_audited", "$17", "cancelled"),
    " INSERT INTO refresh_tokens (hash, session_id, expires_at) SELECT $12::bytea, id, $13::bigint FROM opened"
);

/// Signs in as whoever has the address; else as somebody new, unless they are created by somebody else meanwhile.
async fn sign_in_user(c: &Connection, sign_in: &AddressSignIn) -> Step<Option<SignedIn>> {
    let (email, phone) = (sign_in.address.as_email(), sign_in.address.as_phone());
    let proven = &sign_in.proven;
    for _ in 0..2 {
        if let Some(row) = c.begin_locked(LOCK, KNOWN, &[&email, &phone]).await? {
            let mut columns = Columns::of("users", &row);
            let user = users::read(&mut columns)?;
            if !columns.get("may_sign_in")? {
                c.commit(None).await?;
                return Ok(None);
            }
            return sign_in_known(c, sign_in, user).await.map(Some);
        }
        c.commit(None).await?;
        let opening = FirstSession { password_hash: None, session: &proven.session, job: None };
        if users::insert_row(c, &proven.new_user, &opening, &audit_json(&proven.audit)).await? {
            return Ok(Some(proven.signed_up()));
        }
    }
    Err(StoreError::Conflict("another account has this id").into())
}

/// Signs in within the transaction that has the user's row, and ends it.
async fn sign_in_known(c: &Connection, sign_in: &AddressSignIn, user: User) -> Step<SignedIn> {
    let is_unverified = !sign_in.is_verified_by(&user);
    let event = sign_in.proven.end_event(user.id);
    let opening = Opening {
        email: sign_in.address.as_email(),
        phone: sign_in.address.as_phone(),
        is_unverified,
        event: &event,
        session: &sign_in.proven.session_of(user.id),
        audit: &sign_in.proven.signed_in_event(user.id),
    };
    opening.commit(c).await?;
    Ok(sign_in.proven.signed_in(sign_in.verified(user), is_unverified.then_some(event)))
}

/// The session of a user who is there already, to be opened.
pub(super) struct Opening<'a> {
    pub(super) email: Option<&'a str>,
    pub(super) phone: Option<&'a str>,
    /// True when the user had not verified the address.
    pub(super) is_unverified: bool,
    /// The event that tells of the end of other sessions then.
    pub(super) event: &'a AddressedEvent,
    pub(super) session: &'a NewSession,
    pub(super) audit: &'a AuditEvent,
}

impl Opening<'_> {
    /// Opens the session, and ends the transaction.
    async fn commit(&self, c: &Connection) -> Step<()> {
        c.commit(Some((SIGN_IN, &self.rows().values()))).await
    }

    /// Opens the session within the transaction.
    pub(super) async fn write(&self, c: &Connection) -> Step<()> {
        c.count(SIGN_IN, &self.rows().values()).await.map(drop)
    }

    fn rows(&self) -> OpeningValues<'_> {
        let Self { email, phone, is_unverified, event, session, audit } = self;
        OpeningValues {
            user_id: key(session.user_id),
            email: *email,
            phone: *phone,
            is_unverified: *is_unverified,
            at: session.created_at.as_millis(),
            event_id: key(event.id),
            event: event_json(event),
            session_id: key(session.id),
            device_name: session.device_name.as_deref(),
            network: session.network.as_deref(),
            expires_at: session.expires_at.as_millis(),
            refresh_hash: session.refresh_hash.as_slice(),
            refresh_expires_at: session.refresh_expires_at.as_millis(),
            platform: session.platform.as_ref().map(Platform::as_str),
            ip: session.ip.as_deref(),
            audit: audit_json(audit),
            cancellation: audit_json(&session.cancellation_event(session.user_id, audit)),
        }
    }
}

/// The values of [`SIGN_IN`], in its order.
struct OpeningValues<'a> {
    user_id: Uuid,
    email: Option<&'a str>,
    phone: Option<&'a str>,
    is_unverified: bool,
    at: i64,
    event_id: Uuid,
    event: String,
    session_id: Uuid,
    device_name: Option<&'a str>,
    network: Option<&'a str>,
    expires_at: i64,
    refresh_hash: &'a [u8],
    refresh_expires_at: i64,
    platform: Option<&'a str>,
    ip: Option<&'a str>,
    audit: String,
    cancellation: String,
}

impl OpeningValues<'_> {
    fn values(&self) -> [&(dyn ToSql + Sync); 17] {
        [
            &self.user_id,
            &self.email,
            &self.phone,
            &self.is_unverified,
            &self.at,
            &self.event_id,
            &self.event,
            &self.session_id,
            &self.device_name,
            &self.network,
            &self.expires_at,
            &self.refresh_hash,
            &self.refresh_expires_at,
            &self.platform,
            &self.ip,
            &self.audit,
            &self.cancellation,
        ]
    }
}

/// One statement. The row is that of the user.
const VERIFY: &str = concat!(
    "WITH verified AS ( \
        UPDATE users SET email_verified = true \
        WHERE id = $1 AND email = $2 AND NOT email_verified AND suspended_at IS NULL RETURNING id \
    ), ",
    audited!("$3", "verified"),
    " SELECT id FROM users WHERE id = $1 AND email = $2 AND suspended_at IS NULL"
);

/// Takes the session's row, as exchanges of its refresh tokens do.
pub(super) const LOCK_SESSION: &str =
    "SELECT FROM sessions WHERE id = $1 AND user_id = $2 AND ended_at IS NULL FOR NO KEY UPDATE";

/// The open session's user.
pub(super) const OF_SESSION: &str = concat!(
    "SELECT ",
    users::user_columns!(),
    " FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1 AND s.user_id = $2 AND s.ended_at IS NULL"
);

/// Changes nothing when somebody else has the address.
const CHANGE: &str = concat!(
    "WITH changed AS ( \
        UPDATE users SET email = coalesce($3::text, email), email_verified = email_verified OR $3::text IS NOT NULL, \
            phone = coalesce($4::text, phone), phone_verified = phone_verified OR $4::text IS NOT NULL, guest = false \
        WHERE id = $2 AND NOT EXISTS (SELECT FROM users WHERE (email = $3 OR phone = $4) AND id <> $2) RETURNING id \
    ), removed AS ( \
        DELETE FROM refresh_tokens USING changed WHERE session_id = $1 AND hash <> $5 \
    ), added AS ( \
        INSERT INTO refresh_tokens (hash, session_id, expires_at) SELECT $5, $1, $6::bigint FROM changed \
        ON CONFLICT (hash) DO NOTHING \
    ), ",
    audited!("$12", "changed"),
    " INSERT INTO jobs (id, kind, key, payload, due_at) \
      SELECT $7::uuid, $8::text, $9::text, $10::text, $11::bigint FROM changed WHERE $7::uuid IS NOT NULL \
      ON CONFLICT DO NOTHING"
);

/// Changes an address in two round trips, and reads the user back.
async fn change_of_user(c: &Connection, change: &AddressChange) -> Step<AddressChangeOutcome> {
    let (session_id, user_id) = (&key(change.session_id), &key(change.user_id));
    let row = c.begin_locked(LOCK_SESSION, OF_SESSION, &[session_id, user_id]).await?;
    if row.is_none() {
        c.commit(None).await?;
        return Ok(AddressChangeOutcome::NoSession);
    }
    let job = change.job.as_ref();
    let changed = c
        .commit(Some((
            CHANGE,
            &[
                session_id,
                user_id,
                &change.address.as_email(),
                &change.address.as_phone(),
                &change.refresh_hash.as_slice(),
                &change.refresh_expires_at.as_millis(),
                &job.map(|job| key(job.id)),
                &job.map(|job| job.kind),
                &job.and_then(|job| job.key.as_deref()),
                &job.map(|job| job.payload.as_str()),
                &job.map(|job| job.due_at.as_millis()),
                &audit_json(&change.audit),
            ],
        )))
        .await;
    if matches!(changed, Err(StepError::Final(StoreError::Conflict(_)))) {
        return Ok(AddressChangeOutcome::Taken);
    }
    changed?;
    let user = users::found(find(c, &change.address).await?)?;
    Ok(match user {
        Some(user) if user.id == change.user_id => AddressChangeOutcome::Changed(Box::new(user)),
        _ => AddressChangeOutcome::Taken,
    })
}
