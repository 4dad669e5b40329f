//! Identities of users.

use async_trait::async_trait;
use shared::{
    api::account::{Provider, User},
    id::Id,
};

use super::{
    PostgresAccounts,
    addresses::{LOCK_SESSION, OF_SESSION, Opening},
    audit::{audit_json, audited},
    users::{self, FirstSession},
};
use crate::store::{
    accounts::{
        Identities,
        identities::{IdentityLink, IdentityLinkOutcome, IdentitySignIn, IdentityToken, LinkedIdentity},
        sign_ins::SignedIn,
    },
    error::{StoreError, StoreResult},
    postgres::{
        pool::{Connection, Values},
        row::{Columns, key},
        step_error::{Step, StepError},
    },
};

#[async_trait]
impl Identities for PostgresAccounts {
    async fn sign_in_by_identity(&self, sign_in: IdentitySignIn) -> StoreResult<Option<SignedIn>> {
        let sign_in = &sign_in;
        self.0.run(|c| async move { sign_in_user(&c, sign_in).await }).await
    }

    async fn link_identity(&self, link: IdentityLink) -> StoreResult<IdentityLinkOutcome> {
        let link = &link;
        self.0.run(|c| async move { link_to_user(&c, link).await }).await
    }

    async fn keep_identity_token(
        &self,
        user_id: Id,
        provider: Provider,
        subject: String,
        token: IdentityToken,
    ) -> StoreResult<bool> {
        let (subject, token) = (&subject, &token);
        self.0
            .run(|c| async move {
                let values: Values<'_> =
                    &[&provider.as_str(), subject, &key(user_id), &token.client_id, &token.sealed];
                Ok(c.count(KEEP_TOKEN, values).await? == 1)
            })
            .await
    }

    async fn identities(&self, user_id: Id) -> StoreResult<Vec<LinkedIdentity>> {
        self.0
            .run(|c| async move {
                let rows = c.rows(LIST, &[&key(user_id)]).await?;
                let read = |row| {
                    let mut columns = Columns::of("identities", row);
                    Ok(LinkedIdentity {
                        provider: columns.get("provider")?,
                        email: columns.get("email")?,
                        linked_at: columns.time("created_at")?,
                    })
                };
                Ok(rows.iter().map(read).collect::<StoreResult<_>>()?)
            })
            .await
    }

    async fn identity_tokens(&self, user_id: Id, provider: Provider) -> StoreResult<Vec<IdentityToken>> {
        self.0
            .run(|c| async move {
                let rows = c.rows(TOKENS, &[&key(user_id), &provider.as_str()]).await?;
                let read = |row| {
                    let mut columns = Columns::of("identities", row);
                    Ok(IdentityToken {
                        client_id: columns.get("client_id")?,
                        sealed: columns.get("sealed_token")?,
                    })
                };
                Ok(rows.iter().map(read).collect::<StoreResult<_>>()?)
            })
            .await
    }
}

/// Lets sign-ins by one identity follow one another, also where nobody has it. The third value is that of [`KNOWN`].
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1::text || ' ' || $2::text, 0)), $3::text";

/// The user who has the identity, or else the one who has the address, with their row taken.
const KNOWN: &str = concat!(
    "SELECT ",
    users::user_columns!(),
    ", i.user_id IS NOT NULL, ",
    users::may_sign_in!(),
    " FROM users u \
        LEFT JOIN identities i ON i.user_id = u.id AND i.provider = $1 AND i.subject = $2 \
     WHERE u.id = (SELECT user_id FROM identities WHERE provider = $1 AND subject = $2) OR u.email = $3 \
     ORDER BY i.user_id IS NULL LIMIT 1 FOR NO KEY UPDATE OF u"
);

/// Links an identity that nobody has.
const INSERT: &str =
    "INSERT INTO identities (provider, subject, user_id, email, created_at) VALUES ($1, $2, $3, $4, $5)";

/// The same, noted in the audit trail.
const INSERT_NOTED: &str = concat!(
    "WITH linked AS ( \
        INSERT INTO identities (provider, subject, user_id, email, created_at) VALUES ($1, $2, $3, $4, $5) \
        RETURNING user_id \
    ), ",
    audited!("$6", "linked"),
    " SELECT FROM linked"
);

/// Signs in as whoever is known; else as somebody new, unless the address is taken meanwhile.
async fn sign_in_user(c: &Connection, sign_in: &IdentitySignIn) -> Step<Option<SignedIn>> {
    for _ in 0..2 {
        let identity = &sign_in.identity;
        let (provider, subject) = (identity.provider.as_str(), &identity.subject);
        let values: Values<'_> = &[&provider, subject, &sign_in.verified_email];
        if let Some(row) = c.begin_locked(LOCK, KNOWN, values).await? {
            let mut columns = Columns::of("users", &row);
            let user = users::read(&mut columns)?;
            let is_linked: bool = columns.get("is_linked")?;
            if !columns.get("may_sign_in")? {
                c.commit(None).await?;
                return Ok(None);
            }
            return sign_in_known(c, sign_in, user, is_linked).await.map(Some);
        }
        let (user, at) = (&sign_in.proven.new_user, sign_in.proven.at().as_millis());
        let opening = FirstSession { password_hash: None, session: &sign_in.proven.session, job: None };
        if users::insert_row(c, user, &opening, &audit_json(&sign_in.proven.audit)).await? {
            let values: Values<'_> = &[&provider, subject, &key(user.id), &identity.email, &at];
            c.commit(Some((INSERT, values))).await?;
            return Ok(Some(sign_in.proven.signed_up()));
        }
        c.commit(None).await?;
    }
    Err(StoreError::Conflict("another account has this id").into())
}

/// Signs in within the transaction that has the user's row, and ends it.
async fn sign_in_known(
    c: &Connection,
    sign_in: &IdentitySignIn,
    user: User,
    is_linked: bool,
) -> Step<SignedIn> {
    let is_unverified = !is_linked && !user.email_verified;
    let event = sign_in.proven.end_event(user.id);
    let opening = Opening {
        email: sign_in.verified_email.as_deref(),
        phone: None,
        is_unverified,
        event: &event,
        session: &sign_in.proven.session_of(user.id),
        audit: &sign_in.proven.signed_in_event(user.id),
    };
    opening.write(c).await?;
    if is_linked {
        c.commit(None).await?;
    } else {
        let identity = &sign_in.identity;
        let values: Values<'_> = &[
            &identity.provider.as_str(),
            &identity.subject,
            &key(user.id),
            &identity.email,
            &sign_in.proven.at().as_millis(),
            &audit_json(&sign_in.linked_event(user.id)),
        ];
        c.commit(Some((INSERT_NOTED, values))).await?;
    }
    let user = if is_unverified { sign_in.taken_over(user) } else { user };
    Ok(sign_in.proven.signed_in(user, is_unverified.then_some(event)))
}

/// The user who has an address, if it is somebody else.
const HOLDER: &str = "SELECT id FROM users WHERE email = $1 AND id <> $2";

/// Links an identity unless somebody has it. A row when it is the user's now.
const LINK: &str = concat!(
    "WITH linked AS ( \
        INSERT INTO identities (provider, subject, user_id, email, created_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (provider, subject) DO NOTHING RETURNING user_id \
    ), ",
    audited!("$6", "linked"),
    " SELECT user_id FROM linked \
      UNION ALL SELECT user_id FROM identities WHERE provider = $1 AND subject = $2 AND user_id = $3"
);

/// Makes a guest a user with a way to sign in, with the address if they have none, and replaces the refresh tokens of the session.
const KEEP_SESSION: &str = "\
    WITH changed AS ( \
        UPDATE users SET guest = false, email = coalesce(email, $3::text), \
            email_verified = email_verified OR coalesce(coalesce(email, $3::text) = $3::text, false) \
        WHERE id = $2 \
    ), removed AS ( \
        DELETE FROM refresh_tokens WHERE session_id = $1 AND hash <> $4 \
    ) INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES ($4, $1, $5) ON CONFLICT (hash) DO NOTHING";

async fn link_to_user(c: &Connection, link: &IdentityLink) -> Step<IdentityLinkOutcome> {
    let (session_id, user_id) = (&key(link.session_id), &key(link.user_id));
    let row = c.begin_locked(LOCK_SESSION, OF_SESSION, &[session_id, user_id]).await?;
    let Some(user) = users::found(row)? else {
        c.commit(None).await?;
        return Ok(IdentityLinkOutcome::NoSession);
    };
    let email = &link.verified_email;
    let is_email_taken = c.row(HOLDER, &[email, user_id]).await?.is_some();
    let identity = &link.identity;
    let values: Values<'_> = &[
        &identity.provider.as_str(),
        &identity.subject,
        user_id,
        &identity.email,
        &link.audit.at.as_millis(),
        &audit_json(&link.audit),
    ];
    if (user.guest && is_email_taken) || c.row(LINK, values).await?.is_none() {
        c.commit(None).await?;
        return Ok(IdentityLinkOutcome::Taken);
    }
    let email = email.as_ref().filter(|_| !is_email_taken);
    let (hash, expires_at) = (link.refresh_hash.as_slice(), link.refresh_expires_at.as_millis());
    let values: Values<'_> = &[session_id, user_id, &email, &hash, &expires_at];
    match c.commit(Some((KEEP_SESSION, values))).await {
        // Somebody took the address meanwhile; nothing was written.
        Err(StepError::Final(StoreError::Conflict(_))) => return Ok(IdentityLinkOutcome::Taken),
        written => written?,
    }
    let user = users::by_id(c, user_id).await?;
    Ok(user.map_or(IdentityLinkOutcome::NoSession, |user| IdentityLinkOutcome::Linked(Box::new(user))))
}

const KEEP_TOKEN: &str = "UPDATE identities SET client_id = $4, sealed_token = $5 \
                          WHERE provider = $1 AND subject = $2 AND user_id = $3";

const LIST: &str = "SELECT provider, email, created_at FROM identities WHERE user_id = $1 ORDER BY created_at, provider, subject";

const TOKENS: &str = "SELECT client_id, sealed_token FROM identities \
                      WHERE user_id = $1 AND provider = $2 AND sealed_token IS NOT NULL ORDER BY subject";
