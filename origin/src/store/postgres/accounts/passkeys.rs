//! Passkeys of users.

use async_trait::async_trait;
use shared::{
    api::account::User,
    auth::ways_in::{CodeChannels, WaysIn},
    id::Id,
    time::Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
    users,
};
use crate::store::{
    accounts::{
        Passkeys,
        audit::AuditEvent,
        passkeys::{PasskeyAddition, PasskeyRemoval, PasskeyUse, StoredPasskey},
    },
    error::{StoreError, StoreResult},
    postgres::{
        pool::Connection,
        row::{Columns, key},
        step_error::{Step, StepError},
    },
};

#[async_trait]
impl Passkeys for PostgresAccounts {
    async fn add_passkey(
        &self,
        passkey: StoredPasskey,
        most: u32,
        audit: AuditEvent,
    ) -> StoreResult<PasskeyAddition> {
        let (passkey, audit) = (&passkey, &audit_json(&audit));
        self.0.run(|c| async move { add(&c, passkey, most, audit).await }).await
    }

    async fn passkeys(&self, user_id: Id) -> StoreResult<Vec<StoredPasskey>> {
        let user_id = &key(user_id);
        self.0
            .run(|c| async move {
                let rows = c.rows(LIST, &[user_id]).await?;
                Ok(rows.iter().map(read).collect::<StoreResult<_>>()?)
            })
            .await
    }

    async fn passkey_by_credential(&self, credential_id: Vec<u8>) -> StoreResult<Option<StoredPasskey>> {
        let row = self.0.run(|c| {
            let credential_id = &credential_id;
            async move { c.row(BY_CREDENTIAL, &[credential_id]).await }
        });
        row.await?.as_ref().map(read).transpose()
    }

    async fn use_passkey(&self, used: PasskeyUse) -> StoreResult<Option<User>> {
        let (id, count, at) = (&key(used.id), &i64::from(used.sign_count), &used.at.as_millis());
        self.0
            .run(|c| async move { users::found(c.row(USE, &[id, count, &used.backed_up, at]).await?) })
            .await
    }

    async fn rename_passkey(&self, user_id: Id, id: Id, name: String) -> StoreResult<Option<StoredPasskey>> {
        let (user_id, id, name) = (&key(user_id), &key(id), &name);
        let row = self.0.run(|c| async move { c.row(RENAME, &[id, user_id, name]).await });
        row.await?.as_ref().map(read).transpose()
    }

    async fn remove_passkey(
        &self,
        user_id: Id,
        id: Id,
        codes: CodeChannels,
        audit: AuditEvent,
    ) -> StoreResult<PasskeyRemoval> {
        let (user_id, id, audit) = (&key(user_id), &key(id), &audit);
        self.0.run(|c| async move { remove(&c, user_id, id, codes, audit).await }).await
    }
}

/// The columns [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "id, user_id, credential_id, credential, sign_count, backed_up, name, created_at, last_used_at"
    };
}

/// Takes the user's row, so that additions and removals follow one another. The other value is that of [`KNOWN`].
const LOCK_TO_ADD: &str = "SELECT FROM users WHERE id = $1 AND $2::bytea IS NOT NULL FOR NO KEY UPDATE";

/// The passkey with the credential, and the number of passkeys of the user.
const KNOWN: &str = "\
    SELECT u.id, (SELECT p.id FROM passkeys p WHERE p.credential_id = $2), \
        (SELECT count(*) FROM passkeys p WHERE p.user_id = u.id) \
    FROM users u WHERE u.id = $1";

const ADD: &str = concat!(
    "WITH added AS ( \
        INSERT INTO passkeys (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id \
    ), known AS ( \
        UPDATE users SET guest = false WHERE id = $2 AND guest \
    ), ",
    audited!("$10", "added"),
    " SELECT id FROM added"
);

/// Adds in two round trips.
async fn add(c: &Connection, passkey: &StoredPasskey, most: u32, audit: &String) -> Step<PasskeyAddition> {
    let (id, user_id) = (&key(passkey.id), &key(passkey.user_id));
    let row = c.begin_locked(LOCK_TO_ADD, KNOWN, &[user_id, &passkey.credential_id]).await?;
    let Some(row) = row else {
        c.commit(None).await?;
        return Ok(PasskeyAddition::NoUser);
    };
    let mut columns = Columns::of("users", &row);
    columns.id("id")?;
    let known = columns.optional_id("id")?;
    let count = columns.count("count")?;
    if known.is_some() || count >= u64::from(most) {
        c.commit(None).await?;
        return Ok(match known {
            Some(known) if known == passkey.id => PasskeyAddition::Added,
            Some(_) => PasskeyAddition::Taken,
            None => PasskeyAddition::TooMany,
        });
    }
    let added = c
        .commit(Some((
            ADD,
            &[
                id,
                user_id,
                &passkey.credential_id,
                &passkey.credential,
                &i64::from(passkey.sign_count),
                &passkey.backed_up,
                &passkey.name,
                &passkey.created_at.as_millis(),
                &passkey.last_used_at.map(Timestamp::as_millis),
                audit,
            ],
        )))
        .await;
    match added {
        // Another user's, at the same time.
        Err(StepError::Final(StoreError::Conflict(_))) => Ok(PasskeyAddition::Taken),
        added => added.map(|()| PasskeyAddition::Added),
    }
}

const LIST: &str =
    concat!("SELECT ", columns!(), " FROM passkeys WHERE user_id = $1 ORDER BY created_at, id");

const BY_CREDENTIAL: &str = concat!("SELECT ", columns!(), " FROM passkeys WHERE credential_id = $1");

/// One statement. Of two uses with one count the second waits for the first, and finds its count.
const USE: &str = concat!(
    "WITH used AS ( \
        UPDATE passkeys SET sign_count = $2, backed_up = $3, last_used_at = greatest(last_used_at, $4) \
        WHERE id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0) OR (sign_count = $2 AND last_used_at = $4)) \
        RETURNING user_id \
    ) SELECT ",
    users::user_columns!(),
    " FROM users u JOIN used ON used.user_id = u.id"
);

const RENAME: &str =
    concat!("UPDATE passkeys SET name = $3 WHERE id = $1 AND user_id = $2 RETURNING ", columns!());

/// As [`LOCK_TO_ADD`], with the other values of [`WAYS`].
const LOCK_TO_REMOVE: &str = "\
    SELECT FROM users WHERE id = $1 AND $2::uuid IS NOT NULL AND $3::uuid IS NOT NULL FOR NO KEY UPDATE";

/// The user's ways in; then true when the passkey is there, and true when this event removed it.
const WAYS: &str = "\
    SELECT u.id, EXISTS (SELECT FROM credentials WHERE user_id = u.id), u.email IS NOT NULL, u.phone IS NOT NULL, \
        (SELECT count(*) FROM identities i WHERE i.user_id = u.id), \
        (SELECT count(*) FROM passkeys p WHERE p.user_id = u.id), \
        EXISTS (SELECT FROM passkeys p WHERE p.user_id = u.id AND p.id = $2), \
        EXISTS (SELECT FROM audit_events e WHERE e.user_id = u.id AND e.id = $3) \
    FROM users u WHERE u.id = $1";

const REMOVE: &str = concat!(
    "WITH removed AS (DELETE FROM passkeys WHERE id = $1 AND user_id = $2 RETURNING id), ",
    audited!("$3", "removed"),
    " SELECT id FROM removed"
);

/// Removes in two round trips.
async fn remove(
    c: &Connection,
    user_id: &Uuid,
    id: &Uuid,
    codes: CodeChannels,
    audit: &AuditEvent,
) -> Step<PasskeyRemoval> {
    let row = c.begin_locked(LOCK_TO_REMOVE, WAYS, &[user_id, id, &key(audit.id)]).await?;
    let found = row.as_ref().map(|row| ways_in(row, codes)).transpose()?;
    match found {
        Some((ways, true, _)) if ways.may_remove_passkey() => {
            c.commit(Some((REMOVE, &[id, user_id, &audit_json(audit)]))).await?;
            Ok(PasskeyRemoval::Removed)
        }
        found => {
            c.commit(None).await?;
            Ok(match found {
                Some((_, true, _)) => PasskeyRemoval::LastWayIn,
                Some((_, false, true)) => PasskeyRemoval::Removed,
                _ => PasskeyRemoval::Absent,
            })
        }
    }
}

/// Reads the row of [`WAYS`].
fn ways_in(row: &Row, codes: CodeChannels) -> StoreResult<(WaysIn, bool, bool)> {
    let mut columns = Columns::of("users", row);
    columns.id("id")?;
    let ways = WaysIn {
        has_password: columns.get("has_password")?,
        has_reachable_email: columns.get::<bool>("email")? && codes.email,
        has_reachable_phone: columns.get::<bool>("phone")? && codes.phone,
        identities: columns.count("identities")?,
        passkeys: columns.count("passkeys")?,
    };
    Ok((ways, columns.get("is_there")?, columns.get("was_removed")?))
}

fn read(row: &Row) -> StoreResult<StoredPasskey> {
    let mut columns = Columns::of("passkeys", row);
    Ok(StoredPasskey {
        id: columns.id("id")?,
        user_id: columns.id("user_id")?,
        credential_id: columns.get("credential_id")?,
        credential: columns.get("credential")?,
        // A count beyond its type accepts no use.
        sign_count: u32::try_from(columns.count("sign_count")?).unwrap_or(u32::MAX),
        backed_up: columns.get("backed_up")?,
        name: columns.get("name")?,
        created_at: columns.time("created_at")?,
        last_used_at: columns.optional_time("last_used_at")?,
    })
}
