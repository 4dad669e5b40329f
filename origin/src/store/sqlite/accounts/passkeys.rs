//! Passkeys of users.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use shared::{
    api::account::User,
    auth::ways_in::{CodeChannels, WaysIn},
    id::Id,
};

use super::{SqliteAccounts, audit, users};
use crate::store::{
    accounts::{
        Passkeys,
        audit::AuditEvent,
        passkeys::{PasskeyAddition, PasskeyRemoval, PasskeyUse, StoredPasskey},
    },
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl Passkeys for SqliteAccounts {
    async fn add_passkey(
        &self,
        passkey: StoredPasskey,
        most: u32,
        audit: AuditEvent,
    ) -> StoreResult<PasskeyAddition> {
        self.0.write(move |c| add(c, &passkey, most, &audit)).await
    }

    async fn passkeys(&self, user_id: Id) -> StoreResult<Vec<StoredPasskey>> {
        self.0.read(move |c| list(c, user_id)).await
    }

    async fn passkey_by_credential(&self, credential_id: Vec<u8>) -> StoreResult<Option<StoredPasskey>> {
        self.0.read(move |c| by_credential(c, &credential_id)).await
    }

    async fn use_passkey(&self, used: PasskeyUse) -> StoreResult<Option<User>> {
        self.0.write(move |c| record_use(c, &used)).await
    }

    async fn rename_passkey(&self, user_id: Id, id: Id, name: String) -> StoreResult<Option<StoredPasskey>> {
        self.0.write(move |c| rename(c, user_id, id, &name)).await
    }

    async fn remove_passkey(
        &self,
        user_id: Id,
        id: Id,
        codes: CodeChannels,
        audit: AuditEvent,
    ) -> StoreResult<PasskeyRemoval> {
        self.0.write(move |c| remove(c, user_id, id, codes, &audit)).await
    }
}

/// The columns [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "id, user_id, credential_id, credential, sign_count, backed_up, name, created_at, last_used_at"
    };
}

fn add(
    c: &Connection,
    passkey: &StoredPasskey,
    most: u32,
    audit: &AuditEvent,
) -> StoreResult<PasskeyAddition> {
    if !users::exists(c, passkey.user_id)? {
        return Ok(PasskeyAddition::NoUser);
    }
    if let Some(known) = by_credential(c, &passkey.credential_id)? {
        let is_repetition = known.id == passkey.id;
        return Ok(if is_repetition { PasskeyAddition::Added } else { PasskeyAddition::Taken });
    }
    if count(c, PASSKEYS, passkey.user_id)? >= u64::from(most) {
        return Ok(PasskeyAddition::TooMany);
    }
    c.prepare_cached(
        "INSERT INTO passkeys (id, user_id, credential_id, credential, sign_count, backed_up, name, created_at, \
             last_used_at) \
         VALUES (:id, :user_id, :credential_id, :credential, :sign_count, :backed_up, :name, :created_at, :last_used_at)",
    )?
    .execute(named_params! {
        ":id": passkey.id.as_bytes(),
        ":user_id": passkey.user_id.as_bytes(),
        ":credential_id": passkey.credential_id,
        ":credential": passkey.credential,
        ":sign_count": passkey.sign_count,
        ":backed_up": passkey.backed_up,
        ":name": passkey.name,
        ":created_at": passkey.created_at.as_millis(),
        ":last_used_at": passkey.last_used_at.map(shared::time::Timestamp::as_millis),
    })?;
    c.prepare_cached("UPDATE users SET guest = 0 WHERE id = ?1 AND guest = 1")?
        .execute([passkey.user_id.as_bytes()])?;
    audit::append(c, audit)?;
    Ok(PasskeyAddition::Added)
}

const PASSKEYS: &str = "SELECT ?1, count(*) FROM passkeys WHERE user_id = ?1";
const IDENTITIES: &str = "SELECT ?1, count(*) FROM identities WHERE user_id = ?1";

/// Returns the number that this statement counts for a user.
fn count(c: &Connection, sql: &str, user_id: Id) -> StoreResult<u64> {
    c.prepare_cached(sql)?.query_row([user_id.as_bytes()], |row| Ok(counted(row)))?
}

fn counted(row: &Row<'_>) -> StoreResult<u64> {
    let mut columns = Columns::of("passkeys", row);
    columns.id("user_id")?;
    columns.count("count")
}

fn list(c: &Connection, user_id: Id) -> StoreResult<Vec<StoredPasskey>> {
    let mut statement = c.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM passkeys WHERE user_id = ?1 ORDER BY created_at, id"
    ))?;
    let mut rows = statement.query([user_id.as_bytes()])?;
    let mut passkeys = Vec::new();
    while let Some(row) = rows.next()? {
        passkeys.push(read(row)?);
    }
    Ok(passkeys)
}

fn by_credential(c: &Connection, credential_id: &[u8]) -> StoreResult<Option<StoredPasskey>> {
    let sql = concat!("SELECT ", columns!(), " FROM passkeys WHERE credential_id = ?1");
    c.prepare_cached(sql)?.query_row([credential_id], |row| Ok(read(row))).optional()?.transpose()
}

fn record_use(c: &Connection, used: &PasskeyUse) -> StoreResult<Option<User>> {
    let user_id = c
        .prepare_cached(
            "UPDATE passkeys SET sign_count = :count, backed_up = :backed_up, \
                 last_used_at = max(coalesce(last_used_at, :at), :at) \
             WHERE id = :id AND (sign_count < :count OR (sign_count = 0 AND :count = 0) \
                 OR (sign_count = :count AND last_used_at = :at)) RETURNING user_id",
        )?
        .query_row(
            named_params! {
                ":id": used.id.as_bytes(),
                ":count": used.sign_count,
                ":backed_up": used.backed_up,
                ":at": used.at.as_millis(),
            },
            |row| row.get::<_, [u8; 16]>(0),
        )
        .optional()?;
    let Some(user_id) = user_id else { return Ok(None) };
    users::find(c, "u.id = ?1", &user_id.as_slice())
}

fn rename(c: &Connection, user_id: Id, id: Id, name: &str) -> StoreResult<Option<StoredPasskey>> {
    let sql = concat!("UPDATE passkeys SET name = ?3 WHERE id = ?1 AND user_id = ?2 RETURNING ", columns!());
    c.prepare_cached(sql)?
        .query_row((id.as_bytes(), user_id.as_bytes(), name), |row| Ok(read(row)))
        .optional()?
        .transpose()
}

/// Removes within a write transaction.
fn remove(
    c: &Connection,
    user_id: Id,
    id: Id,
    codes: CodeChannels,
    audit: &AuditEvent,
) -> StoreResult<PasskeyRemoval> {
    let ids = (id.as_bytes(), user_id.as_bytes());
    let is_there = c.prepare_cached("SELECT 1 FROM passkeys WHERE id = ?1 AND user_id = ?2")?.exists(ids)?;
    if !is_there {
        let is_repetition = c
            .prepare_cached("SELECT 1 FROM audit_events WHERE id = ?1 AND user_id = ?2")?
            .exists((audit.id.as_bytes(), user_id.as_bytes()))?;
        return Ok(if is_repetition { PasskeyRemoval::Removed } else { PasskeyRemoval::Absent });
    }
    let has_password =
        c.prepare_cached("SELECT 1 FROM credentials WHERE user_id = ?1")?.exists([user_id.as_bytes()])?;
    let user = users::find(c, "u.id = ?1", &user_id.as_bytes().as_slice())?;
    let ways = WaysIn {
        has_password,
        has_reachable_email: codes.email && user.as_ref().is_some_and(|user| user.email.is_some()),
        has_reachable_phone: codes.phone && user.as_ref().is_some_and(|user| user.phone.is_some()),
        identities: count(c, IDENTITIES, user_id)?,
        passkeys: count(c, PASSKEYS, user_id)?,
    };
    if !ways.may_remove_passkey() {
        return Ok(PasskeyRemoval::LastWayIn);
    }
    c.prepare_cached("DELETE FROM passkeys WHERE id = ?1 AND user_id = ?2")?.execute(ids)?;
    audit::append(c, audit)?;
    Ok(PasskeyRemoval::Removed)
}

/// Removes all passkeys of a user, within a write transaction.
pub(super) fn remove_all(c: &Connection, user_id: Id) -> StoreResult<()> {
    c.prepare_cached("DELETE FROM passkeys WHERE user_id = ?1")?.execute([user_id.as_bytes()])?;
    Ok(())
}

fn read(row: &Row<'_>) -> StoreResult<StoredPasskey> {
    let mut columns = Columns::of("passkeys", row);
    Ok(StoredPasskey {
        id: columns.id("id")?,
        user_id: columns.id("user_id")?,
        credential_id: columns.get("credential_id")?,
        credential: columns.get("credential")?,
        sign_count: columns.get("sign_count")?,
        backed_up: columns.get("backed_up")?,
        name: columns.get("name")?,
        created_at: columns.time("created_at")?,
        last_used_at: columns.optional_time("last_used_at")?,
    })
}
