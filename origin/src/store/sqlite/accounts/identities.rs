//! Identities of users.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, named_params};
use shared::{
    address::Address,
    api::account::{Provider, User},
    id::Id,
    time::Timestamp,
};

use super::{SqliteAccounts, addresses, audit, sessions, users};
use crate::store::{
    accounts::{
        Identities,
        identities::{
            IdentityLink, IdentityLinkOutcome, IdentitySignIn, IdentityToken, LinkedIdentity, NewIdentity,
        },
        sign_ins::SignedIn,
    },
    error::StoreResult,
    sqlite::row::Columns,
};

#[async_trait]
impl Identities for SqliteAccounts {
    async fn sign_in_by_identity(&self, sign_in: IdentitySignIn) -> StoreResult<Option<SignedIn>> {
        self.0.write(move |c| sign_in_user(c, &sign_in)).await
    }

    async fn link_identity(&self, link: IdentityLink) -> StoreResult<IdentityLinkOutcome> {
        self.0.write(move |c| link_to_user(c, &link)).await
    }

    async fn keep_identity_token(
        &self,
        user_id: Id,
        provider: Provider,
        subject: String,
        token: IdentityToken,
    ) -> StoreResult<bool> {
        self.0
            .write(move |c| {
                let kept = c
                    .prepare_cached(
                        "UPDATE identities SET client_id = ?4, sealed_token = ?5 \
                         WHERE provider = ?1 AND subject = ?2 AND user_id = ?3",
                    )?
                    .execute((
                        provider.as_str(),
                        subject,
                        user_id.as_bytes(),
                        token.client_id,
                        token.sealed,
                    ))?;
                Ok(kept == 1)
            })
            .await
    }

    async fn identities(&self, user_id: Id) -> StoreResult<Vec<LinkedIdentity>> {
        self.0.read(move |c| list(c, user_id)).await
    }

    async fn identity_tokens(&self, user_id: Id, provider: Provider) -> StoreResult<Vec<IdentityToken>> {
        self.0.read(move |c| tokens(c, user_id, provider)).await
    }
}

/// Signs in within a write transaction.
fn sign_in_user(c: &Connection, sign_in: &IdentitySignIn) -> StoreResult<Option<SignedIn>> {
    let linked = owner(c, &sign_in.identity)?;
    let is_linked = linked.is_some();
    let by_email = match &sign_in.verified_email {
        Some(email) if !is_linked => users::find(c, "u.email = ?1", email)?,
        _ => None,
    };
    let Some(user) = linked.or(by_email) else {
        users::insert_row(c, &sign_in.proven.new_user)?;
        insert(c, &sign_in.identity, sign_in.proven.new_user.id, sign_in.proven.at())?;
        sessions::insert(c, &sign_in.proven.session)?;
        audit::append(c, &sign_in.proven.audit)?;
        return Ok(Some(sign_in.proven.signed_up()));
    };
    if !users::may_sign_in(c, user.id)? {
        return Ok(None);
    }
    let mut event = None;
    if !is_linked && !user.email_verified {
        let end = sign_in.proven.end_event(user.id);
        let email = sign_in.verified_email.clone().unwrap_or_default();
        addresses::take_over(c, &user, &Address::Email(email), sign_in.proven.session.id, &end)?;
        event = Some(end);
    }
    if !is_linked {
        insert(c, &sign_in.identity, user.id, sign_in.proven.at())?;
    }
    sessions::open(c, &sign_in.proven.session_of(user.id), &sign_in.proven.signed_in_event(user.id))?;
    if !is_linked {
        audit::append(c, &sign_in.linked_event(user.id))?;
    }
    let user = if event.is_some() { sign_in.taken_over(user) } else { user };
    Ok(Some(sign_in.proven.signed_in(user, event)))
}

fn owner(c: &Connection, identity: &NewIdentity) -> StoreResult<Option<User>> {
    let id: Option<[u8; 16]> = c
        .prepare_cached("SELECT user_id FROM identities WHERE provider = ?1 AND subject = ?2")?
        .query_row((identity.provider.as_str(), &identity.subject), |row| row.get(0))
        .optional()?;
    id.map_or(Ok(None), |id| users::find(c, "u.id = ?1", &id.as_slice()))
}

fn insert(c: &Connection, identity: &NewIdentity, user_id: Id, now: Timestamp) -> StoreResult<()> {
    c.prepare_cached(
        "INSERT INTO identities (provider, subject, user_id, email, created_at) \
         VALUES (:provider, :subject, :user_id, :email, :created_at)",
    )?
    .execute(named_params! {
        ":provider": identity.provider.as_str(),
        ":subject": identity.subject,
        ":user_id": user_id.as_bytes(),
        ":email": identity.email,
        ":created_at": now.as_millis(),
    })?;
    Ok(())
}

/// Links an identity within a write transaction.
fn link_to_user(c: &Connection, link: &IdentityLink) -> StoreResult<IdentityLinkOutcome> {
    let Some(user) = users::find(c, "u.id = ?1", &link.user_id.as_bytes().as_slice())? else {
        return Ok(IdentityLinkOutcome::NoSession);
    };
    let owner = owner(c, &link.identity)?;
    let holder = match &link.verified_email {
        Some(email) => users::find(c, "u.email = ?1", email)?.filter(|holder| holder.id != user.id),
        None => None,
    };
    let is_foreign = owner.as_ref().is_some_and(|owner| owner.id != user.id);
    if is_foreign || (user.guest && holder.is_some()) {
        return Ok(IdentityLinkOutcome::Taken);
    }
    let (hash, expires_at) = (&link.refresh_hash, link.refresh_expires_at);
    if !sessions::replace_tokens(c, user.id, link.session_id, hash, expires_at)? {
        return Ok(IdentityLinkOutcome::NoSession);
    }
    if owner.is_none() {
        insert(c, &link.identity, user.id, link.audit.at)?;
        audit::append(c, &link.audit)?;
    }
    let email = link.verified_email.as_deref().filter(|_| holder.is_none());
    c.prepare_cached(
        "UPDATE users SET guest = 0, email_verified = max(email_verified, ?2 IS NOT NULL AND coalesce(email, ?2) = ?2), \
         email = coalesce(email, ?2) WHERE id = ?1",
    )?
    .execute((user.id.as_bytes(), email))?;
    let user = users::find(c, "u.id = ?1", &user.id.as_bytes().as_slice())?;
    Ok(user.map_or(IdentityLinkOutcome::NoSession, |user| IdentityLinkOutcome::Linked(Box::new(user))))
}

const LIST: &str = "SELECT provider, email, created_at FROM identities WHERE user_id = ?1 ORDER BY created_at, provider, subject";

const TOKENS: &str = "SELECT client_id, sealed_token FROM identities \
                      WHERE user_id = ?1 AND provider = ?2 AND sealed_token IS NOT NULL ORDER BY subject";

fn list(c: &Connection, user_id: Id) -> StoreResult<Vec<LinkedIdentity>> {
    let mut statement = c.prepare_cached(LIST)?;
    let mut rows = statement.query([user_id.as_bytes()])?;
    let mut identities = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("identities", row);
        identities.push(LinkedIdentity {
            provider: columns.get("provider")?,
            email: columns.get("email")?,
            linked_at: columns.time("created_at")?,
        });
    }
    Ok(identities)
}

fn tokens(c: &Connection, user_id: Id, provider: Provider) -> StoreResult<Vec<IdentityToken>> {
    let mut statement = c.prepare_cached(TOKENS)?;
    let mut rows = statement.query((user_id.as_bytes(), provider.as_str()))?;
    let mut tokens = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("identities", row);
        tokens.push(IdentityToken {
            client_id: columns.get("client_id")?,
            sealed: columns.get("sealed_token")?,
        });
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{
        engine::{connect, plan},
        migrate,
    };

    #[tokio::test]
    async fn identities_of_a_user_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.db");
        migrate::accounts(&path).await.unwrap();
        let file = connect(&path).unwrap();
        for sql in [TOKENS, LIST] {
            let plan = plan(&file, sql);
            assert!(plan.contains("identities_by_user"), "{plan}");
        }
    }
}
