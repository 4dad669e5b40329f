//! Users.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, ToSql, named_params};
use shared::{
    api::{
        account::{Plan, UpdateProfile, User},
        internal::user_event::AddressedEvent,
    },
    id::Id,
};

use super::{SqliteAccounts, audit, credentials, events, jobs, sessions};
use crate::store::{
    accounts::{Users, audit::AuditEvent, jobs::NewJob, sessions::NewSession, users::Registration},
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl Users for SqliteAccounts {
    async fn register(
        &self,
        user: User,
        password_hash: String,
        session: NewSession,
        audit: AuditEvent,
        job: NewJob,
    ) -> StoreResult<Registration> {
        self.0
            .write(move |c| {
                if let Some(refused) = insert(c, &user, &password_hash)? {
                    return Ok(refused);
                }
                sessions::insert(c, &session)?;
                audit::append(c, &audit)?;
                jobs::schedule(c, &job)?;
                Ok(Registration::Created)
            })
            .await
    }

    async fn user(&self, id: Id) -> StoreResult<Option<User>> {
        self.0.read(move |c| find(c, "u.id = ?1", &id.as_bytes().as_slice())).await
    }

    async fn update_profile(
        &self,
        id: Id,
        update: UpdateProfile,
        audit: AuditEvent,
    ) -> StoreResult<Option<User>> {
        self.0
            .write(move |c| {
                if change_profile(c, id, &update)? {
                    audit::append(c, &audit)?;
                }
                find(c, "u.id = ?1", &id.as_bytes().as_slice())
            })
            .await
    }

    async fn set_plan(&self, id: Id, plan: Plan, event: AddressedEvent) -> StoreResult<bool> {
        self.0
            .write(move |c| {
                let changed = c
                    .prepare_cached("UPDATE users SET plan = ?2 WHERE id = ?1 AND plan <> ?2")?
                    .execute((id.as_bytes(), plan.as_str()))?;
                if changed > 0 {
                    events::append(c, &event)?;
                }
                Ok(changed > 0 || exists(c, id)?)
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

/// The user of whom this is so.
pub(super) fn find(c: &Connection, is_so: &'static str, value: &dyn ToSql) -> StoreResult<Option<User>> {
    let columns = user_columns!();
    let mut statement = c.prepare_cached(&format!("SELECT {columns} FROM users u WHERE {is_so}"))?;
    let mut rows = statement.query([value])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    read(&mut Columns::of("users", row)).map(Some)
}

/// Inserts a user with their password, unless the account is there already: then that is the answer.
fn insert(c: &Connection, user: &User, password_hash: &str) -> StoreResult<Option<Registration>> {
    let known: Option<[u8; 16]> = c
        .prepare_cached("SELECT id FROM users WHERE id = :id OR email = :email")?
        .query_row(named_params! {":id": user.id.as_bytes(), ":email": user.email}, |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        let same = id == *user.id.as_bytes();
        return Ok(Some(if same { Registration::Created } else { Registration::EmailTaken }));
    }
    insert_row(c, user)?;
    credentials::set(c, user.id, password_hash, user.created_at)?;
    Ok(None)
}

/// Inserts a user whom nobody else is.
pub(super) fn insert_row(c: &Connection, user: &User) -> StoreResult<()> {
    c.prepare_cached(
        "INSERT INTO users (id, email, email_verified, phone, phone_verified, display_name, avatar_url, locale, \
         timezone, plan, created_at, guest) VALUES (:id, :email, :email_verified, :phone, :phone_verified, \
         :display_name, :avatar_url, :locale, :timezone, :plan, :created_at, :guest)",
    )?
    .execute(named_params! {
        ":id": user.id.as_bytes(),
        ":email": user.email,
        ":email_verified": user.email_verified,
        ":phone": user.phone,
        ":phone_verified": user.phone_verified,
        ":display_name": user.display_name,
        ":avatar_url": user.avatar_url,
        ":locale": user.locale,
        ":timezone": user.timezone,
        ":plan": user.plan.as_str(),
        ":created_at": user.created_at.as_millis(),
        ":guest": user.guest,
    })?;
    Ok(())
}

/// The first of two values says whether the second one is the field's, which may be NULL.
const CHANGE_PROFILE: &str = "\
    UPDATE users SET \
        display_name = iif(?2, ?3, display_name), avatar_url = iif(?4, ?5, avatar_url), \
        locale = iif(?6, ?7, locale), timezone = iif(?8, ?9, timezone) \
    WHERE id = ?1 AND (?2 AND display_name IS NOT ?3 OR ?4 AND avatar_url IS NOT ?5 \
        OR ?6 AND locale IS NOT ?7 OR ?8 AND timezone IS NOT ?9)";

/// Changes the named fields. False when none of them changes, or there is no such user.
fn change_profile(c: &Connection, id: Id, update: &UpdateProfile) -> StoreResult<bool> {
    let UpdateProfile { display_name, avatar_url, locale, timezone } = update;
    let changed = c.prepare_cached(CHANGE_PROFILE)?.execute((
        id.as_bytes(),
        display_name.is_some(),
        display_name.as_ref().and_then(Option::as_deref),
        avatar_url.is_some(),
        avatar_url.as_ref().and_then(Option::as_deref),
        locale.is_some(),
        locale.as_ref().and_then(Option::as_deref),
        timezone.is_some(),
        timezone.as_ref().and_then(Option::as_deref),
    ))?;
    Ok(changed == 1)
}

/// Returns true when there is a user with this id.
pub(super) fn exists(c: &Connection, id: Id) -> StoreResult<bool> {
    Ok(c.prepare_cached("SELECT 1 FROM users WHERE id = ?1")?.exists([id.as_bytes()])?)
}

/// Returns true when there is a user with this id who is neither suspended nor being deleted.
pub(super) fn may_sign_in(c: &Connection, id: Id) -> StoreResult<bool> {
    let sql = "SELECT 1 FROM users WHERE id = ?1 AND suspended_at IS NULL AND deletion_began_at IS NULL";
    Ok(c.prepare_cached(sql)?.exists([id.as_bytes()])?)
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
