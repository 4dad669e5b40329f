//! Users.

use async_trait::async_trait;
use shared::{
    api::{
        account::{Plan, User},
        internal::user_event::AddressedEvent,
    },
    id::Id,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresAccounts;
use crate::store::{
    accounts::{Users, sessions::NewSession, users::Registration},
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
    ) -> StoreResult<Registration> {
        let (user, password_hash, session) = (&user, &password_hash, &session);
        self.0.run(|c| async move { insert(&c, user, password_hash, session).await }).await
    }

    async fn user(&self, id: Id) -> StoreResult<Option<User>> {
        self.0.run(|c| async move { found(c.row(BY_ID, &[&key(id)]).await?) }).await
    }

    async fn user_by_email(&self, email: String) -> StoreResult<Option<User>> {
        let email = &email;
        self.0.run(|c| async move { found(c.row(BY_EMAIL, &[email]).await?) }).await
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
         u.timezone, u.plan, u.created_at"
    };
}
pub(super) use user_columns;

/// One statement, so all of it or nothing. A conflicting registration that is under way is waited for.
const REGISTER: &str = "\
    WITH new_user AS ( \
        INSERT INTO users (id, email, email_verified, phone, phone_verified, display_name, avatar_url, locale, \
            timezone, plan, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING RETURNING id \
    ), new_credential AS ( \
        INSERT INTO credentials (user_id, password_hash, changed_at) \
        SELECT id, $12::text, $11::bigint FROM new_user WHERE $12::text IS NOT NULL \
    ), new_session AS ( \
        INSERT INTO sessions (id, user_id, device_name, network, created_at, last_used_at, expires_at) \
        SELECT $13::uuid, id, $14::text, $19::text, $15::bigint, $15::bigint, $16::bigint FROM new_user \
        ON CONFLICT (id) DO NOTHING RETURNING id \
    ), new_token AS ( \
        INSERT INTO refresh_tokens (hash, session_id, expires_at) \
        SELECT $17::bytea, id, $18::bigint FROM new_session \
    ) SELECT id FROM new_user";

/// Finds the user that exists already: the one with the id rather than another one with the e-mail.
const KNOWN: &str = "SELECT id FROM users WHERE id = $1 OR email = $2 ORDER BY id = $1 DESC LIMIT 1";

const BY_ID: &str = concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = $1");
const BY_EMAIL: &str = concat!("SELECT ", user_columns!(), " FROM users u WHERE u.email = $1");

pub(super) fn found(row: Option<Row>) -> Step<Option<User>> {
    Ok(row.map(|row| read(&mut Columns::of("users", &row))).transpose()?)
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
    password_hash: &str,
    session: &NewSession,
) -> Step<Registration> {
    if insert_row(c, user, Some(password_hash), session).await? {
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

/// Inserts a user with their first session, and with their password if they have one. False, and nothing happens, when the id, the
/// e-mail or the phone number is somebody's.
pub(super) async fn insert_row(
    c: &Connection,
    user: &User,
    password_hash: Option<&str>,
    session: &NewSession,
) -> Step<bool> {
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
                &password_hash,
                &key(session.id),
                &session.device_name,
                &session.created_at.as_millis(),
                &session.expires_at.as_millis(),
                &session.refresh_hash.as_slice(),
                &session.refresh_expires_at.as_millis(),
                &session.network,
            ],
        )
        .await?;
    Ok(created.is_some())
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
    })
}
