//! Sessions and their chains of refresh tokens.

use async_trait::async_trait;
use rusqlite::{Connection, named_params};
use shared::{
    api::internal::user_event::AddressedEvent,
    auth::refresh::{PresentedToken, RefreshDecision, UsedToken},
    id::Id,
    time::Timestamp,
};

use super::{SqliteAccounts, events, jobs, users};
use crate::store::{
    accounts::{
        Sessions,
        sessions::{NewSession, RefreshExchange, RefreshOutcome, SessionOfUser, TokenHash},
    },
    error::StoreResult,
    sqlite::row::{Columns, bytes},
};

#[async_trait]
impl Sessions for SqliteAccounts {
    async fn open_session(&self, session: NewSession) -> StoreResult<bool> {
        self.0
            .write(move |c| {
                if !users::exists(c, session.user_id)? {
                    return Ok(false);
                }
                insert(c, &session)?;
                Ok(true)
            })
            .await
    }

    async fn session(&self, user_id: Id, session_id: Id) -> StoreResult<Option<SessionOfUser>> {
        self.0.read(move |c| Ok(find(c, session_id)?.filter(|session| session.user.id == user_id))).await
    }

    async fn exchange_refresh(&self, exchange: RefreshExchange) -> StoreResult<RefreshOutcome> {
        self.0.write(move |c| exchange_token(c, &exchange)).await
    }

    async fn end_session(&self, user_id: Id, session_id: Id, event: AddressedEvent) -> StoreResult<bool> {
        self.0
            .write(move |c| {
                let session = find(c, session_id)?.filter(|session| session.user.id == user_id);
                match session.map(|session| session.ended_at) {
                    Some(None) => end(c, session_id, &event).map(|()| true),
                    Some(Some(ended_at)) => Ok(ended_at == event.at),
                    None => Ok(false),
                }
            })
            .await
    }

    async fn end_sessions(&self, user_id: Id, except: Option<Id>, event: AddressedEvent) -> StoreResult<u64> {
        self.0.write(move |c| end_all(c, user_id, except, &event)).await
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

/// Inserts a session with its first refresh token; nothing when the session is there.
pub(super) fn insert(c: &Connection, session: &NewSession) -> StoreResult<()> {
    let inserted = c
        .prepare_cached(
            "INSERT INTO sessions (id, user_id, device_name, network, created_at, last_used_at, expires_at) \
             VALUES (:id, :user_id, :device_name, :network, :created_at, :created_at, :expires_at) \
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(named_params! {
            ":id": session.id.as_bytes(),
            ":user_id": session.user_id.as_bytes(),
            ":device_name": session.device_name,
            ":network": session.network,
            ":created_at": session.created_at.as_millis(),
            ":expires_at": session.expires_at.as_millis(),
        })?;
    if inserted == 1 {
        insert_token(c, &session.refresh_hash, session.id, session.refresh_expires_at)?;
    }
    Ok(())
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
            end(c, session.id, &exchange.end_event(session.user.id, session.id))?;
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
    c.prepare_cached("UPDATE sessions SET last_used_at = max(last_used_at, ?2) WHERE id = ?1")?
        .execute((session_id.as_bytes(), now))?;
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
fn end(c: &Connection, session_id: Id, event: &AddressedEvent) -> StoreResult<()> {
    c.prepare_cached("UPDATE sessions SET ended_at = ?2 WHERE id = ?1")?
        .execute((session_id.as_bytes(), event.at.as_millis()))?;
    events::append(c, event)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{
        engine::{connect, plan},
        migrate,
    };

    #[tokio::test]
    async fn ended_sessions_are_found_by_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.db");
        migrate::accounts(&path).await.unwrap();
        let file = connect(&path).unwrap();
        let plan = plan(&file, FORGET);
        let is_by_index = plan.contains("sessions_by_end") && !plan.contains("SCAN sessions");
        assert!(is_by_index && !plan.contains("B-TREE"), "{plan}");
    }
}
