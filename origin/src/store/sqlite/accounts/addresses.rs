//! Addresses of users.

use async_trait::async_trait;
use rusqlite::Connection;
use shared::{
    address::Address,
    api::{account::User, internal::user_event::AddressedEvent},
    id::Id,
};

use super::{SqliteAccounts, audit, jobs, passkeys, sessions, users};
use crate::store::{
    accounts::{
        Addresses,
        addresses::{AddressChange, AddressChangeOutcome, AddressOwner, AddressSignIn},
        audit::AuditEvent,
        sign_ins::SignedIn,
    },
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl Addresses for SqliteAccounts {
    async fn user_by_address(&self, address: Address) -> StoreResult<Option<User>> {
        self.0.read(move |c| find(c, &address)).await
    }

    async fn address_owner(
        &self,
        address: Address,
        network: Option<String>,
    ) -> StoreResult<Option<AddressOwner>> {
        self.0.read(move |c| find_owner(c, &address, network.as_deref())).await
    }

    async fn sign_in_by_address(&self, sign_in: AddressSignIn) -> StoreResult<Option<SignedIn>> {
        self.0.write(move |c| sign_in_user(c, &sign_in)).await
    }

    async fn verify_email(&self, user_id: Id, email: String, audit: AuditEvent) -> StoreResult<bool> {
        self.0.write(move |c| verify_of_user(c, user_id, &email, &audit)).await
    }

    async fn change_address(&self, change: AddressChange) -> StoreResult<AddressChangeOutcome> {
        self.0.write(move |c| change_of_user(c, &change)).await
    }
}

fn find(c: &Connection, address: &Address) -> StoreResult<Option<User>> {
    let is_so = match address {
        Address::Email(_) => "u.email = ?1",
        Address::Phone(_) => "u.phone = ?1",
    };
    users::find(c, is_so, &address.as_str())
}

fn find_owner(c: &Connection, address: &Address, network: Option<&str>) -> StoreResult<Option<AddressOwner>> {
    let sql = match address {
        Address::Email(_) => owner_sql!("email"),
        Address::Phone(_) => owner_sql!("phone"),
    };
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query((address.as_str(), network))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("users", row);
    Ok(Some(AddressOwner { user_id: columns.id("id")?, is_known_network: columns.get("network")? }))
}

/// Finds by the column that holds this kind of address.
macro_rules! owner_sql {
    ($column:literal) => {
        concat!(
            "SELECT u.id, EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.network = ?2) \
             FROM users u WHERE u.",
            $column,
            " = ?1"
        )
    };
}
use owner_sql;

/// Signs in within a write transaction.
fn sign_in_user(c: &Connection, sign_in: &AddressSignIn) -> StoreResult<Option<SignedIn>> {
    let Some(user) = find(c, &sign_in.address)? else {
        users::insert_row(c, &sign_in.proven.new_user)?;
        sessions::insert(c, &sign_in.proven.session)?;
        audit::append(c, &sign_in.proven.audit)?;
        return Ok(Some(sign_in.proven.signed_up()));
    };
    if !users::may_sign_in(c, user.id)? {
        return Ok(None);
    }
    let mut event = None;
    if !sign_in.is_verified_by(&user) {
        let end = sign_in.proven.end_event(user.id);
        take_over(c, &user, &sign_in.address, sign_in.proven.session.id, &end)?;
        event = Some(end);
    }
    sessions::open(c, &sign_in.proven.session_of(user.id), &sign_in.proven.signed_in_event(user.id))?;
    Ok(Some(sign_in.proven.signed_in(sign_in.verified(user), event)))
}

/// Verifies the address of a user who had not, and removes their password, phone number, identities, passkeys and other sessions: whoever they
/// are may be somebody else than whoever has shown that they have the address.
pub(super) fn take_over(
    c: &Connection,
    user: &User,
    address: &Address,
    session_id: Id,
    end: &AddressedEvent,
) -> StoreResult<()> {
    verify(c, user, address)?;
    c.prepare_cached("DELETE FROM credentials WHERE user_id = ?1")?.execute([user.id.as_bytes()])?;
    c.prepare_cached("DELETE FROM identities WHERE user_id = ?1")?.execute([user.id.as_bytes()])?;
    passkeys::remove_all(c, user.id)?;
    sessions::end_all(c, user.id, Some(session_id), end)?;
    Ok(())
}

fn verify(c: &Connection, user: &User, address: &Address) -> StoreResult<()> {
    let sql = match address {
        Address::Email(_) => {
            "UPDATE users SET email_verified = 1, phone = NULL, phone_verified = 0 WHERE id = ?1"
        }
        Address::Phone(_) => "UPDATE users SET phone_verified = 1 WHERE id = ?1",
    };
    c.prepare_cached(sql)?.execute([user.id.as_bytes()])?;
    Ok(())
}

/// Verifies an address within a write transaction.
fn verify_of_user(c: &Connection, user_id: Id, email: &str, audit: &AuditEvent) -> StoreResult<bool> {
    let values = (user_id.as_bytes(), email);
    let sql = "SELECT 1 FROM users WHERE id = ?1 AND email = ?2 AND suspended_at IS NULL";
    if !c.prepare_cached(sql)?.exists(values)? {
        return Ok(false);
    }
    let sql = "UPDATE users SET email_verified = 1 WHERE id = ?1 AND email = ?2 AND email_verified = 0";
    if c.prepare_cached(sql)?.execute(values)? == 1 {
        audit::append(c, audit)?;
    }
    Ok(true)
}

/// Changes an address within a write transaction.
fn change_of_user(c: &Connection, change: &AddressChange) -> StoreResult<AddressChangeOutcome> {
    if find(c, &change.address)?.is_some_and(|user| user.id != change.user_id) {
        return Ok(AddressChangeOutcome::Taken);
    }
    let (user_id, expires_at) = (change.user_id, change.refresh_expires_at);
    if !sessions::replace_tokens(c, user_id, change.session_id, &change.refresh_hash, expires_at)? {
        return Ok(AddressChangeOutcome::NoSession);
    }
    let sql = match change.address {
        Address::Email(_) => "UPDATE users SET email = ?2, email_verified = 1, guest = 0 WHERE id = ?1",
        Address::Phone(_) => "UPDATE users SET phone = ?2, phone_verified = 1, guest = 0 WHERE id = ?1",
    };
    c.prepare_cached(sql)?.execute((user_id.as_bytes(), change.address.as_str()))?;
    audit::append(c, &change.audit)?;
    if let Some(job) = &change.job {
        jobs::schedule(c, job)?;
    }
    let user = find(c, &change.address)?;
    Ok(user.map_or(AddressChangeOutcome::NoSession, |user| AddressChangeOutcome::Changed(Box::new(user))))
}
