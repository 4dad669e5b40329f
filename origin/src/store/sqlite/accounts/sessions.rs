//! Sessions and their chains of refresh tokens.

use async_trait::async_trait;
use rusqlite::{Connection, named_params};
use shared::{
    api::{account::Platform, internal::user_event::AddressedEvent},
    auth::refresh::{PresentedToken, RefreshDecision, UsedToken},
    id::Id,
    time::Timestamp,
};

use super::{SqliteAccounts, audit, deletions, events, jobs, users};
use crate::store::{
    accounts::{
        Sessions,
        audit::AuditEvent,
        sessions::{
            ListedSession, MAX_SURPLUS, NewSession, RefreshExchange, RefreshOutcome, SessionOfUser,
            SessionsPage, TokenHash,
        },
    },
    error::StoreResult,
    sqlite::row::{Columns, bytes},
};

#[async_trait]
impl Sessions for SqliteAccounts {
    async fn open_session(
        &self,
        session: NewSession,
        most: u32,
        audit: AuditEvent,
    ) -> StoreResult<Option<Vec<Id>>> {
        self.0
            .write(move |c| {
                if !users::may_sign_in(c, session.user_id)? {
                    return Ok(None);
                }
                open(c, &session, &audit)?;
                surplus(c, &session, most).map(Some)
            })
            .await
    }

    async fn session(&self, user_id: Id, session_id: Id) -> StoreResult<Option<SessionOfUser>> {
        self.0.read(move |c| Ok(find(c, session_id)?.filter(|session| session.user.id == user_id))).await
    }

    async fn sessions(&self, user_id: Id, page: SessionsPage) -> StoreResult<Vec<ListedSession>> {
        self.0.read(move |c| list(c, user_id, &page)).await
    }

    async fn exchange_refresh(&self, exchange: RefreshExchange) -> StoreResult<RefreshOutcome> {
        self.0.write(move |c| exchange_token(c, &exchange)).await
    }

    async fn end_session(
        &self,
        user_id: Id,
        session_id: Id,
        event: AddressedEvent,
        audit: AuditEvent,
    ) -> StoreResult<bool> {
        self.0
            .write(move |c| {
                let session = find(c, session_id)?.filter(|session| session.user.id == user_id);
                match session.map(|session| session.ended_at) {
                    Some(None) => end(c, session_id, &event, &audit).map(|()| true),
                    Some(Some(ended_at)) => Ok(ended_at == event.at),
                    None => Ok(false),
                }
            })
            .await
    }

    async fn end_sessions(
        &self,
        user_id: Id,
        except: Option<Id>,
        event: AddressedEvent,
        audit: AuditEvent,
    ) -> StoreResult<u64> {
        self.0
            .write(move |c| {
                let ended = end_all(c, user_id, except, &event)?;
                if ended > 0 {
                    audit::append(c, &audit)?;
                }
                Ok(ended)
            })
            .await
    }

    async fn forget_sessions(&self, over_before: Timestamp, limit: u32) -> StoreResult<u64> {
        self.0
            .write(move |c| {
                let gone = c.prepare_cached(FORGET)?.execute((over_before.as_millis(), limit))?;
                Ok(u64::try_from(gone).unwrap_or(u64::MAX))
            })
            .await
    }
}

/// Begins a session of somebody who has signed in, unless it is there: notes it, and undoes the deletion of their account.
pub(super) fn open(c: &Connection, session: &NewSession, audit: &AuditEvent) -> StoreResult<()> {
    if insert(c, session)? {
        audit::append(c, audit)?;
        deletions::cancel(c, session.user_id, &session.cancellation_event(session.user_id, audit))?;
    }
    Ok(())
}

/// Inserts a session with its first refresh token. False, and nothing happens, when the session is there.
pub(super) fn insert(c: &Connection, session: &NewSession) -> StoreResult<bool> {
    let inserted = c
        .prepare_cached(
            "INSERT INTO sessions (id, user_id, device_name, platform, ip, network, created_at, last_used_at, expires_at) \
             VALUES (:id, :user_id, :device_name, :platform, :ip, :network, :created_at, :created_at, :expires_at) \
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(named_params! {
            ":id": session.id.as_bytes(),
            ":user_id": session.user_id.as_bytes(),
            ":device_name": session.device_name,
            ":platform": session.platform.as_ref().map(Platform::as_str),
            ":ip": session.ip,
            ":network": session.network,
            ":created_at": session.created_at.as_millis(),
            ":expires_at": session.expires_at.as_millis(),
        })?;
    if inserted == 1 {
        insert_token(c, &session.refresh_hash, session.id, session.refresh_expires_at)?;
    }
    Ok(inserted == 1)
}

/// The user's open sessions that are too many beside this one, which is open.
fn surplus(c: &Connection, session: &NewSession, most: u32) -> StoreResult<Vec<Id>> {
    let mut statement = c.prepare_cached(
        "SELECT id FROM sessions \
         WHERE user_id = :user_id AND ended_at IS NULL AND expires_at > :now AND id <> :id \
         ORDER BY last_used_at DESC, id DESC LIMIT :limit OFFSET :others",
    )?;
    let mut rows = statement.query(named_params! {
        ":user_id": session.user_id.as_bytes(),
        ":now": session.created_at.as_millis(),
        ":id": session.id.as_bytes(),
        ":limit": MAX_SURPLUS,
        ":others": most.saturating_sub(1),
    })?;
    let mut surplus = Vec::new();
    while let Some(row) = rows.next()? {
        surplus.push(Columns::of("sessions", row).id("id")?);
    }
    Ok(surplus)
}

/// Without a place the page is the first.
const LIST: &str = "\
    SELECT id, device_name, platform, ip, created_at, last_used_at, expires_at FROM sessions \
    WHERE user_id = :user_id AND ended_at IS NULL AND expires_at > :now AND last_used_at > :unused_since \
        AND (:after_at IS NULL OR (created_at, id) < (:after_at, :after_id)) \
    ORDER BY created_at DESC, id DESC LIMIT :limit";

fn list(c: &Connection, user_id: Id, page: &SessionsPage) -> StoreResult<Vec<ListedSession>> {
    let mut statement = c.prepare_cached(LIST)?;
    let mut rows = statement.query(named_params! {
        ":user_id": user_id.as_bytes(),
        ":now": page.now.as_millis(),
        ":unused_since": page.unused_since.as_millis(),
        ":after_at": page.after.map(|after| after.at.as_millis()),
        ":after_id": bytes(page.after.as_ref().map(|after| &after.id)),
        ":limit": page.limit,
    })?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of("sessions", row);
        sessions.push(ListedSession {
            id: columns.id("id")?,
            device_name: columns.get("device_name")?,
            platform: columns.optional_word("platform", Platform::parse)?,
            ip: columns.get("ip")?,
            created_at: columns.time("created_at")?,
            last_used_at: columns.time("last_used_at")?,
            expires_at: columns.time("expires_at")?,
        });
    }
    Ok(sessions)
}

/// The SQL of the time at which a session was over, as in the index `sessions_by_end`.
macro_rules! end {
    () => {
        "min(expires_at, coalesce(ended_at, expires_at))"
    };
}

const FORGET: &str = concat!(
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE ",
    end!(),
    " < ?1 ORDER BY ",
    end!(),
    " LIMIT ?2)"
);

/// A session with its user.
fn find(c: &Connection, id: Id) -> StoreResult<Option<SessionOfUser>> {
    let mut statement = c.prepare_cached(concat!(
        "SELECT ",
        users::user_columns!(),
        ", s.id, s.expires_at, s.ended_at FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ?1"
    ))?;
    let mut rows = statement.query([id.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("sessions", row);
    let user = users::read(&mut columns)?;
    Ok(Some(SessionOfUser {
        id: columns.id("id")?,
        expires_at: columns.time("expires_at")?,
        ended_at: columns.optional_time("ended_at")?,
        user,
    }))
}

/// Exchanges a token within a write transaction.
fn exchange_token(c: &Connection, exchange: &RefreshExchange) -> StoreResult<RefreshOutcome> {
    let Some(token) = find_token(c, &exchange.presented)? else { return Ok(RefreshOutcome::Unknown) };
    let Some(session) = find(c, token.session_id)? else { return Ok(RefreshOutcome::Unknown) };
    let decision = presented(c, &token, &session)?.decide(&exchange.terms);
    let mut successor = exchange.successor();
    match decision {
        RefreshDecision::Use(expires_at) => use_token(c, exchange, session.id, expires_at)?,
        RefreshDecision::Again(_) => {
            if let Some(used) = &token.used {
                successor = successor_again(c, exchange, &used.successor)?;
            }
        }
        RefreshDecision::Reused => {
            let user_id = session.user.id;
            let audit = exchange.audit_event(user_id, session.id);
            end(c, session.id, &exchange.end_event(user_id, session.id), &audit)?;
            jobs::schedule(c, &exchange.reuse_job(&session))?;
        }
        RefreshDecision::Expired | RefreshDecision::Ended => (),
    }
    Ok(RefreshOutcome::of(decision, exchange, session, successor))
}

fn presented(c: &Connection, token: &Token, session: &SessionOfUser) -> StoreResult<PresentedToken> {
    let used = match &token.used {
        None => None,
        Some(used) => {
            let unused = find_token(c, &used.successor)?.filter(|successor| successor.used.is_none());
            let unused_successor_expires_at = unused.map(|successor| successor.expires_at);
            Some(UsedToken { at: used.at, unused_successor_expires_at })
        }
    };
    Ok(PresentedToken {
        is_session_ended: session.ended_at.is_some(),
        session_expires_at: session.expires_at,
        expires_at: token.expires_at,
        used,
    })
}

struct Token {
    session_id: Id,
    expires_at: Timestamp,
    used: Option<Used>,
}

struct Used {
    at: Timestamp,
    successor: TokenHash,
}

fn find_token(c: &Connection, hash: &TokenHash) -> StoreResult<Option<Token>> {
    let sql = "SELECT session_id, expires_at, used_at, successor FROM refresh_tokens WHERE hash = ?1";
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query([hash])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::of("refresh_tokens", row);
    let session_id = columns.id("session_id")?;
    let expires_at = columns.time("expires_at")?;
    let used_at = columns.optional_time("used_at")?;
    let successor: Option<TokenHash> = columns.get("successor")?;
    let used = used_at.zip(successor).map(|(at, successor)| Used { at, successor });
    Ok(Some(Token { session_id, expires_at, used }))
}

fn insert_token(c: &Connection, hash: &TokenHash, session_id: Id, expires_at: Timestamp) -> StoreResult<()> {
    c.prepare_cached("INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES (?1, ?2, ?3)")?
        .execute((hash, session_id.as_bytes(), expires_at.as_millis()))?;
    Ok(())
}

fn use_token(
    c: &Connection,
    exchange: &RefreshExchange,
    session_id: Id,
    expires_at: Timestamp,
) -> StoreResult<()> {
    let now = exchange.terms.now.as_millis();
    c.prepare_cached("UPDATE refresh_tokens SET used_at = ?2, successor = ?3 WHERE hash = ?1")?.execute((
        exchange.presented,
        now,
        exchange.successor(),
    ))?;
    insert_token(c, &exchange.successor(), session_id, expires_at)?;
    c.prepare_cached("DELETE FROM refresh_tokens WHERE session_id = ?1 AND expires_at < ?2")?
        .execute((session_id.as_bytes(), now))?;
    c.prepare_cached("UPDATE sessions SET last_used_at = max(last_used_at, ?2), ip = ?3 WHERE id = ?1")?
        .execute((session_id.as_bytes(), now, exchange.ip.as_deref()))?;
    Ok(())
}

/// Replaces all refresh tokens of a session by one. False, and nothing happens, when the session is not an open one of this user.
pub(super) fn replace_tokens(
    c: &Connection,
    user_id: Id,
    session_id: Id,
    hash: &TokenHash,
    expires_at: Timestamp,
) -> StoreResult<bool> {
    let is_open = c
        .prepare_cached("SELECT 1 FROM sessions WHERE id = ?1 AND user_id = ?2 AND ended_at IS NULL")?
        .exists((session_id.as_bytes(), user_id.as_bytes()))?;
    if is_open {
        c.prepare_cached("DELETE FROM refresh_tokens WHERE session_id = ?1")?
            .execute([session_id.as_bytes()])?;
        insert_token(c, hash, session_id, expires_at)?;
    }
    Ok(is_open)
}

/// The unused successor that is stored, or the one that replaces it.
fn successor_again(c: &Connection, exchange: &RefreshExchange, stored: &TokenHash) -> StoreResult<TokenHash> {
    let Some(successor) = exchange.replacement(stored) else { return Ok(*stored) };
    c.prepare_cached("UPDATE refresh_tokens SET hash = ?2 WHERE hash = ?1")?.execute((stored, successor))?;
    c.prepare_cached("UPDATE refresh_tokens SET successor = ?2 WHERE hash = ?1")?
        .execute((exchange.presented, successor))?;
    Ok(successor)
}

/// Ends a session that is open.
fn end(c: &Connection, session_id: Id, event: &AddressedEvent, audit: &AuditEvent) -> StoreResult<()> {
    c.prepare_cached("UPDATE sessions SET ended_at = ?2 WHERE id = ?1")?
        .execute((session_id.as_bytes(), event.at.as_millis()))?;
    events::append(c, event)?;
    audit::append(c, audit)
}

/// Ends the sessions of a user that had begun, but for one.
pub(super) fn end_all(
    c: &Connection,
    user_id: Id,
    except: Option<Id>,
    event: &AddressedEvent,
) -> StoreResult<u64> {
    let ended = c
        .prepare_cached(
            "UPDATE sessions SET ended_at = ?2 \
             WHERE user_id = ?1 AND ended_at IS NULL AND created_at <= ?2 AND id IS NOT ?3",
        )?
        .execute((user_id.as_bytes(), event.at.as_millis(), bytes(except.as_ref())))?;
    if ended > 0 {
        events::append(c, event)?;
    }
    Ok(ended as u64)
}

/// Ends all sessions of a user, whenever they began.
pub(super) fn end_whichever(c: &Connection, user_id: Id, event: &AddressedEvent) -> StoreResult<()> {
    c.prepare_cached("UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL")?
        .execute((user_id.as_bytes(), event.at.as_millis()))?;
    events::append(c, event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{
        engine::{connect, plan},
        migrate,
    };

    #[tokio::test]
    async fn listed_and_ended_sessions_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.db");
        migrate::accounts(&path).await.unwrap();
        let file = connect(&path).unwrap();
        let (list, forget) = (plan(&file, LIST), plan(&file, FORGET));
        assert!(list.contains("sessions_by_user"), "{list}");
        let is_by_index = forget.contains("sessions_by_end") && !forget.contains("SCAN sessions");
        assert!(is_by_index && !forget.contains("B-TREE"), "{forget}");
    }
}
