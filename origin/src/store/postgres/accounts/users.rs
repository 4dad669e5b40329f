//! Users.

use async_trait::async_trait;
use shared::{
    api::{
        account::{Plan, Platform, UpdateProfile, User},
        internal::user_event::AddressedEvent,
    },
    id::Id,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
};
use crate::store::{
    accounts::{Users, audit::AuditEvent, jobs::NewJob, sessions::NewSession, users::Registration},
    error::{StoreError, StoreResult},
    postgres::{
        pool::Connection,
        row::{Columns, key},
        step_error::Step,
    },
    values::event_json,
};

#[async_trait]
impl Users for PostgresAccounts {
    async fn register(
        &self,
        user: User,
        password_hash: String,
        session: NewSession,
        audit: AuditEvent,
        job: NewJob,
    ) -> StoreResult<Registration> {
        let (user, audit) = (&user, &audit_json(&audit));
        let opening =
            &FirstSession { password_hash: Some(&password_hash), session: &session, job: Some(&job) };
        self.0.run(|c| async move { insert(&c, user, opening, audit).await }).await
    }

    async fn user(&self, id: Id) -> StoreResult<Option<User>> {
        self.0.run(|c| async move { found(c.row(BY_ID, &[&key(id)]).await?) }).await
    }

    async fn update_profile(
        &self,
        id: Id,
        update: UpdateProfile,
        audit: AuditEvent,
    ) -> StoreResult<Option<User>> {
        let (id, update, audit) = (&key(id), &update, &audit_json(&audit));
        self.0.run(|c| async move { change_profile(&c, id, update, audit).await }).await
    }

    async fn set_plan(&self, id: Id, plan: Plan, event: AddressedEvent) -> StoreResult<bool> {
        let (plan, event, body) = (&plan, &event, &event_json(&event));
        self.0
            .run(|c| async move {
                let at = event.at.as_millis();
                let known = c.row(SET_PLAN, &[&key(id), &plan.as_str(), &key(event.id), &at, body]).await?;
                Ok(known.is_some())
            })
            .await
    }
}

/// The columns [`read`] reads, in its order, of the users as `u`.
macro_rules! user_columns {
    () => {
        "u.id, u.email, u.email_verified, u.phone, u.phone_verified, u.display_name, u.avatar_url, u.locale, \
         u.timezone, u.plan, u.created_at, u.guest"
    };
}
pub(super) use user_columns;

/// One statement, so all of it or nothing. A conflicting registration that is under way is waited for.
const REGISTER: &str = concat!(
    "WITH new_user AS ( \
        INSERT INTO users (id, email, email_verified, phone, phone_verified, display_name, avatar_url, locale, \
            timezone, plan, created_at, guest) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $28) ON CONFLICT DO NOTHING RETURNING id \
    ), new_credential AS ( \
        INSERT INTO credentials (user_id, password_hash, changed_at) \
        SELECT id, $12::text, $11::bigint FROM new_user WHERE $12::text IS NOT NULL \
    ), new_session AS ( \
        INSERT INTO sessions (id, user_id, device_name, platform, ip, network, created_at, last_used_at, expires_at) \
        SELECT $13::uuid, id, $14::text, $20::text, $21::text, $19::text, $15::bigint, $15::bigint, $16::bigint \
        FROM new_user \
        ON CONFLICT (id) DO NOTHING RETURNING id \
    ), new_token AS ( \
        INSERT INTO refresh_tokens (hash, session_id, expires_at) \
        SELECT $17::bytea, id, $18::bigint FROM new_session \
    ), ",
    audited!("$22", "new_user"),
    ", scheduled AS ( \
        INSERT INTO jobs (id, kind, key, payload, due_at) \
        SELECT $23::uuid, $24::text, $25::text, $26::text, $27::bigint FROM new_user WHERE $23::uuid IS NOT NULL \
        ON CONFLICT DO NOTHING \
    ) SELECT id FROM new_user"
);

/// Finds the user that exists already: the one with the id rather than another one with the e-mail.
const KNOWN: &str = "SELECT id FROM users WHERE id = $1 OR email = $2 ORDER BY id = $1 DESC LIMIT 1";

const BY_ID: &str = concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = $1");

pub(super) fn found(row: Option<Row>) -> Step<Option<User>> {
    Ok(row.map(|row| read(&mut Columns::of("users", &row))).transpose()?)
}

/// Returns a user.
pub(super) async fn by_id(c: &Connection, id: &Uuid) -> Step<Option<User>> {
    found(c.row(BY_ID, &[id]).await?)
}

/// One statement: the event is stored where the plan is another one.
const SET_PLAN: &str = "\
    WITH changed AS ( \
        UPDATE users SET plan = $2::text WHERE id = $1 AND plan <> $2::text RETURNING id \
    ), new_event AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) \
        SELECT $3::uuid, id, $4::bigint, $5::text, $4::bigint FROM changed ON CONFLICT (id) DO NOTHING \
    ) SELECT id FROM users WHERE id = $1";

/// Inserts a user with their password and first session, unless the account is there already: then that is the answer.
async fn insert(
    c: &Connection,
    user: &User,
    opening: &FirstSession<'_>,
    audit: &String,
) -> Step<Registration> {
    if insert_row(c, user, opening, audit).await? {
        return Ok(Registration::Created);
    }
    let user_id = key(user.id);
    // A statement of its own sees what the first one had to wait for.
    match c.row(KNOWN, &[&user_id, &user.email]).await? {
        Some(row) => {
            let known: Uuid = Columns::of("users", &row).get("id")?;
            Ok(if known == user_id { Registration::Created } else { Registration::EmailTaken })
        }
        None => Err(StoreError::Conflict("another account has this phone number").into()),
    }
}

/// The condition that the user `u` is neither suspended nor being deleted.
macro_rules! may_sign_in {
    () => {
        "u.suspended_at IS NULL AND u.deletion_began_at IS NULL"
    };
}
pub(super) use may_sign_in;

/// The rows that are stored with a new user.
pub(super) struct FirstSession<'a> {
    /// The hash of their password, if they have one.
    pub(super) password_hash: Option<&'a str>,
    /// Their first session.
    pub(super) session: &'a NewSession,
    /// The job to schedule.
    pub(super) job: Option<&'a NewJob>,
}

/// Inserts a user with what comes with them, and the event of it. False, and nothing happens, when the id, the
/// e-mail or the phone number is somebody's.
pub(super) async fn insert_row(
    c: &Connection,
    user: &User,
    opening: &FirstSession<'_>,
    audit: &String,
) -> Step<bool> {
    let FirstSession { password_hash, session, job } = opening;
    let created = c
        .row(
            REGISTER,
            &[
                &key(user.id),
                &user.email,
                &user.email_verified,
                &user.phone,
                &user.phone_verified,
                &user.display_name,
                &user.avatar_url,
                &user.locale,
                &user.timezone,
                &user.plan.as_str(),
                &user.created_at.as_millis(),
                password_hash,
                &key(session.id),
                &session.device_name,
                &session.created_at.as_millis(),
                &session.expires_at.as_millis(),
                &session.refresh_hash.as_slice(),
                &session.refresh_expires_at.as_millis(),
                &session.network,
                &session.platform.as_ref().map(Platform::as_str),
                &session.ip,
                audit,
                &job.map(|job| key(job.id)),
                &job.map(|job| job.kind),
                &job.and_then(|job| job.key.as_deref()),
                &job.map(|job| job.payload.as_str()),
                &job.map(|job| job.due_at.as_millis()),
                &user.guest,
            ],
        )
        .await?;
    Ok(created.is_some())
}

/// The first of two values says whether the second one is the field's, which may be NULL.
const CHANGE_PROFILE: &str = concat!(
    "WITH changed AS ( \
        UPDATE users u SET \
            display_name = CASE WHEN $2 THEN $3 ELSE u.display_name END, \
            avatar_url = CASE WHEN $4 THEN $5 ELSE u.avatar_url END, \
            locale = CASE WHEN $6 THEN $7 ELSE u.locale END, \
            timezone = CASE WHEN $8 THEN $9 ELSE u.timezone END \
        WHERE u.id = $1 AND ($2::boolean AND u.display_name IS DISTINCT FROM $3::text \
            OR $4::boolean AND u.avatar_url IS DISTINCT FROM $5::text \
            OR $6::boolean AND u.locale IS DISTINCT FROM $7::text \
            OR $8::boolean AND u.timezone IS DISTINCT FROM $9::text) \
        RETURNING ",
    user_columns!(),
    " ), ",
    audited!("$10", "changed"),
    " SELECT * FROM changed"
);

/// Changes the named fields. A statement of its own reads a user for whom none changes.
async fn change_profile(
    c: &Connection,
    id: &Uuid,
    update: &UpdateProfile,
    audit: &String,
) -> Step<Option<User>> {
    let UpdateProfile { display_name, avatar_url, locale, timezone } = update;
    let changed = c
        .row(
            CHANGE_PROFILE,
            &[
                id,
                &display_name.is_some(),
                &display_name.as_ref().and_then(Option::as_ref),
                &avatar_url.is_some(),
                &avatar_url.as_ref().and_then(Option::as_ref),
                &locale.is_some(),
                &locale.as_ref().and_then(Option::as_ref),
                &timezone.is_some(),
                &timezone.as_ref().and_then(Option::as_ref),
                audit,
            ],
        )
        .await?;
    match changed {
        Some(row) => found(Some(row)),
        None => found(c.row(BY_ID, &[id]).await?),
    }
}

/// Reads the columns of `user_columns`.
pub(super) fn read(columns: &mut Columns<'_>) -> StoreResult<User> {
    Ok(User {
        id: columns.id("id")?,
        email: columns.get("email")?,
        email_verified: columns.get("email_verified")?,
        phone: columns.get("phone")?,
        phone_verified: columns.get("phone_verified")?,
        display_name: columns.get("display_name")?,
        avatar_url: columns.get("avatar_url")?,
        locale: columns.get("locale")?,
        timezone: columns.get("timezone")?,
        plan: columns.word("plan", Plan::parse)?,
        created_at: columns.time("created_at")?,
        guest: columns.get("guest")?,
    })
}
