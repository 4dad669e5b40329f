//! Sessions and their chains of refresh tokens.

use async_trait::async_trait;
use shared::{
    api::{account::Platform, internal::user_event::AddressedEvent},
    auth::refresh::{PresentedToken, RefreshDecision, UsedToken},
    id::Id,
    time::Timestamp,
};
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    PostgresAccounts,
    audit::{audit_json, audited},
    users,
};
use crate::store::{
    accounts::{
        Sessions,
        audit::AuditEvent,
        sessions::{
            ListedSession, MAX_SURPLUS, NewSession, RefreshExchange, RefreshOutcome, SessionOfUser,
            SessionsPage,
        },
    },
    error::StoreResult,
    postgres::{
        pool::{Connection, Values},
        row::{Columns, key},
        step_error::Step,
    },
    values::event_json,
};

#[async_trait]
impl Sessions for PostgresAccounts {
    async fn open_session(
        &self,
        session: NewSession,
        most: u32,
        audit: AuditEvent,
    ) -> StoreResult<Option<Vec<Id>>> {
        let (session, audit) = (&session, &audit);
        self.0.run(|c| async move { open(&c, session, most, audit).await }).await
    }

    async fn session(&self, user_id: Id, session_id: Id) -> StoreResult<Option<SessionOfUser>> {
        let (user_id, session_id) = (&key(user_id), &key(session_id));
        self.0
            .run(|c| async move {
                let row = c.row(FIND, &[session_id, user_id]).await?;
                Ok(row.map(|row| read(&row).map(|(session, _)| session)).transpose()?)
            })
            .await
    }

    async fn sessions(&self, user_id: Id, page: SessionsPage) -> StoreResult<Vec<ListedSession>> {
        self.0.run(|c| async move { list(&c, user_id, &page).await }).await
    }

    async fn exchange_refresh(&self, exchange: RefreshExchange) -> StoreResult<RefreshOutcome> {
        let exchange = &exchange;
        self.0.run(|c| async move { exchange_token(&c, exchange).await }).await
    }

    async fn end_session(
        &self,
        user_id: Id,
        session_id: Id,
        event: AddressedEvent,
        audit: AuditEvent,
    ) -> StoreResult<bool> {
        let ending = &SessionEnd::new(user_id, session_id, &event, &audit);
        self.0.run(|c| async move { Ok(c.row(END, &ending.values()).await?.is_some()) }).await
    }

    async fn end_sessions(
        &self,
        user_id: Id,
        except: Option<Id>,
        event: AddressedEvent,
        audit: AuditEvent,
    ) -> StoreResult<u64> {
        let (except, event, body, audit) =
            (&except.map(key), &event, &event_json(&event), &audit_json(&audit));
        self.0
            .run(|c| async move {
                let at = event.at.as_millis();
                let values: Values<'_> = &[&key(user_id), except, &at, &key(event.id), body, audit];
                let ended = c.row(END_ALL, values).await?;
                Ok(ended.map_or(Ok(0), |row| Columns::of("sessions", &row).count("count"))?)
            })
            .await
    }

    async fn forget_sessions(&self, over_before: Timestamp, limit: u32) -> StoreResult<u64> {
        let (before, limit) = (over_before.as_millis(), i64::from(limit));
        self.0.run(|c| async move { c.count(FORGET, &[&before, &limit]).await }).await
    }
}

/// The columns [`read`] reads, in its order, of the sessions as `s` and the users as `u`.
macro_rules! columns {
    () => {
        concat!(users::user_columns!(), ", s.id, s.expires_at, s.ended_at")
    };
}

/// Opens unless the session is there, and undoes a deletion then. Returns the others that are too many. The user's row is taken, and
/// read as it is since: a deletion that was asked for while this waited is undone, too.
const OPEN: &str = concat!(
    "WITH known AS ( \
        SELECT id, deletes_at FROM users WHERE id = $2 AND suspended_at IS NULL AND deletion_began_at IS NULL \
        FOR NO KEY UPDATE \
    ), opened AS ( \
        INSERT INTO sessions (id, user_id, device_name, platform, ip, network, created_at, last_used_at, expires_at) \
        SELECT $1, id, $3::text, $9::text, $10::text, $4::text, $5::bigint, $5::bigint, $6::bigint FROM known \
        ON CONFLICT (id) DO NOTHING RETURNING id \
    ), token AS ( \
        INSERT INTO refresh_tokens (hash, session_id, expires_at) SELECT $7::bytea, id, $8::bigint FROM opened \
    ), ",
    audited!("$11", "opened"),
    ", cancelled AS ( \
        UPDATE users u SET deletion_requested_at = NULL, deletes_at = NULL FROM known \
        WHERE u.id = known.id AND known.deletes_at IS NOT NULL AND EXISTS (SELECT FROM opened) RETURNING u.id \
    ), ",
    audited!("cancel_audited", "$14", "cancelled"),
    " SELECT known.id, ARRAY( \
        SELECT s.id FROM sessions s \
        WHERE s.user_id = $2 AND s.ended_at IS NULL AND s.expires_at > $5 AND s.id <> $1 \
        ORDER BY s.last_used_at DESC, s.id DESC LIMIT $12::bigint OFFSET $13::bigint \
    ) FROM known"
);

/// Begins a session with its first refresh token, unless it is there. `None` when there is no such user, or their deletion has begun.
async fn open(c: &Connection, session: &NewSession, most: u32, audit: &AuditEvent) -> Step<Option<Vec<Id>>> {
    let known = c
        .row(
            OPEN,
            &[
                &key(session.id),
                &key(session.user_id),
                &session.device_name,
                &session.network,
                &session.created_at.as_millis(),
                &session.expires_at.as_millis(),
                &session.refresh_hash.as_slice(),
                &session.refresh_expires_at.as_millis(),
                &session.platform.as_ref().map(Platform::as_str),
                &session.ip,
                &audit_json(audit),
                &i64::from(MAX_SURPLUS),
                &i64::from(most.saturating_sub(1)),
                &audit_json(&session.cancellation_event(session.user_id, audit)),
            ],
        )
        .await?;
    let Some(row) = known else { return Ok(None) };
    let mut columns = Columns::of("users", &row);
    columns.id("id")?;
    let surplus: Vec<Uuid> = columns.get("surplus")?;
    Ok(Some(surplus.into_iter().map(|id| Id::from_bytes(id.into_bytes())).collect()))
}

/// Without a place the page is the first.
const LIST: &str = "\
    SELECT id, device_name, platform, ip, created_at, last_used_at, expires_at FROM sessions \
    WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND last_used_at > $3 \
        AND ($4::bigint IS NULL OR (created_at, id) < ($4, $5::uuid)) \
    ORDER BY created_at DESC, id DESC LIMIT $6";

async fn list(c: &Connection, user_id: Id, page: &SessionsPage) -> Step<Vec<ListedSession>> {
    let (at, id) = page.after.map(|after| (after.at.as_millis(), key(after.id))).unzip();
    let (now, unused_since) = (page.now.as_millis(), page.unused_since.as_millis());
    let values: Values<'_> = &[&key(user_id), &now, &unused_since, &at, &id, &i64::from(page.limit)];
    let rows = c.rows(LIST, values).await?;
    Ok(rows.iter().map(read_listed).collect::<StoreResult<_>>()?)
}

fn read_listed(row: &Row) -> StoreResult<ListedSession> {
    let mut columns = Columns::of("sessions", row);
    Ok(ListedSession {
        id: columns.id("id")?,
        device_name: columns.get("device_name")?,
        platform: columns.optional_word("platform", Platform::parse)?,
        ip: columns.get("ip")?,
        created_at: columns.time("created_at")?,
        last_used_at: columns.time("last_used_at")?,
        expires_at: columns.time("expires_at")?,
    })
}

/// A session of a user, with them.
const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1 AND s.user_id = $2"
);

/// Reads the columns of `columns`, and returns what follows them.
fn read(row: &Row) -> StoreResult<(SessionOfUser, Columns<'_>)> {
    let mut columns = Columns::of("users", row);
    let user = users::read(&mut columns)?;
    let mut columns = columns.joined("sessions");
    let session = SessionOfUser {
        id: columns.id("id")?,
        expires_at: columns.time("expires_at")?,
        ended_at: columns.optional_time("ended_at")?,
        user,
    };
    Ok((session, columns))
}

/// Takes the session's row: exchanges of its tokens follow one another. What depends on the tokens is read after it, by a
/// statement that sees what the one before has done.
const LOCK: &str = "SELECT FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = $1) \
                    FOR NO KEY UPDATE";

/// The session and user of a token, the token, and its successor.
const PRESENTED: &str = concat!(
    "SELECT ",
    columns!(),
    ", t.expires_at, t.used_at, t.successor, n.expires_at, n.used_at \
     FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id \
         LEFT JOIN refresh_tokens n ON n.hash = t.successor \
     WHERE t.hash = $1"
);

/// The presented token has not expired, so the deletion does not meet it.
const USE: &str = "\
    WITH used AS ( \
        UPDATE refresh_tokens SET used_at = $2, successor = $3 WHERE hash = $1 RETURNING session_id \
    ), next AS ( \
        INSERT INTO refresh_tokens (hash, session_id, expires_at) SELECT $3, session_id, $4::bigint FROM used \
    ), forgotten AS ( \
        DELETE FROM refresh_tokens t USING used WHERE t.session_id = used.session_id AND t.expires_at < $2 \
    ) UPDATE sessions SET last_used_at = greatest(last_used_at, $2), ip = $5 FROM used \
    WHERE sessions.id = used.session_id";

/// Puts another token in the place of an unused successor.
const REPLACE: &str = "\
    WITH replaced AS ( \
        UPDATE refresh_tokens SET hash = $3 WHERE hash = $2 RETURNING session_id \
    ) UPDATE refresh_tokens t SET successor = $3 FROM replaced WHERE t.hash = $1";

/// Ends a session with the event that tells of it; a row when it ended at that time, also by an earlier try.
const END: &str = concat!(
    "WITH ended AS ( \
        UPDATE sessions SET ended_at = $3 WHERE id = $1 AND user_id = $2 AND ended_at IS NULL RETURNING user_id \
    ), new_event AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) \
        SELECT $4::uuid, user_id, $3::bigint, $5::text, $3::bigint FROM ended ON CONFLICT (id) DO NOTHING \
    ), ",
    audited!("$6", "ended"),
    " SELECT user_id FROM ended \
    UNION ALL SELECT user_id FROM sessions WHERE id = $1 AND user_id = $2 AND ended_at = $3"
);

/// Ends a user's sessions with one event.
const END_ALL: &str = concat!(
    "WITH ended AS ( \
        UPDATE sessions SET ended_at = $3 \
        WHERE user_id = $1 AND ended_at IS NULL AND created_at <= $3 AND id IS DISTINCT FROM $2::uuid RETURNING id \
    ), new_event AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) \
        SELECT $4::uuid, $1, $3::bigint, $5::text, $3::bigint WHERE EXISTS (SELECT FROM ended) \
        ON CONFLICT (id) DO NOTHING \
    ), ",
    audited!("$6", "ended"),
    " SELECT count(*) FROM ended"
);

/// The values of [`END`].
struct SessionEnd {
    session_id: Uuid,
    user_id: Uuid,
    at: i64,
    event_id: Uuid,
    body: String,
    audit: String,
}

impl SessionEnd {
    fn new(user_id: Id, session_id: Id, event: &AddressedEvent, audit: &AuditEvent) -> Self {
        Self {
            session_id: key(session_id),
            user_id: key(user_id),
            at: event.at.as_millis(),
            event_id: key(event.id),
            body: event_json(event),
            audit: audit_json(audit),
        }
    }

    fn values(&self) -> [&(dyn ToSql + Sync); 6] {
        [&self.session_id, &self.user_id, &self.at, &self.event_id, &self.body, &self.audit]
    }
}

/// Ends a session as [`END`] does, and schedules the job that follows.
const REUSE: &str = concat!(
    "WITH ended AS ( \
        UPDATE sessions SET ended_at = $3 WHERE id = $1 AND user_id = $2 AND ended_at IS NULL RETURNING user_id \
    ), appended AS ( \
        INSERT INTO user_events (id, user_id, at, event, due_at) \
        SELECT $4::uuid, user_id, $3::bigint, $5::text, $3::bigint FROM ended ON CONFLICT (id) DO NOTHING \
    ), ",
    audited!("$6", "ended"),
    " INSERT INTO jobs (id, kind, key, payload, due_at) VALUES ($7, $8, $9, $10, $11) ON CONFLICT DO NOTHING"
);

/// A token as it was presented, with the session it belongs to and the successor that is stored.
fn read_presented(row: &Row) -> StoreResult<(SessionOfUser, PresentedToken, Option<Vec<u8>>)> {
    let (session, mut columns) = read(row)?;
    let expires_at = columns.time("expires_at")?;
    let used_at = columns.optional_time("used_at")?;
    let successor: Option<Vec<u8>> = columns.get("successor")?;
    let successor_expires_at = columns.optional_time("expires_at")?;
    let is_successor_used = columns.optional_time("used_at")?.is_some();
    let token = PresentedToken {
        is_session_ended: session.ended_at.is_some(),
        session_expires_at: session.expires_at,
        expires_at,
        used: used_at.map(|at| UsedToken {
            at,
            unused_successor_expires_at: successor_expires_at.filter(|_| !is_successor_used),
        }),
    };
    Ok((session, token, successor))
}

/// Exchanges a token in two round trips.
async fn exchange_token(c: &Connection, exchange: &RefreshExchange) -> Step<RefreshOutcome> {
    let row = c.begin_locked(LOCK, PRESENTED, &[&exchange.presented.as_slice()]).await?;
    let Some((session, token, stored)) = row.map(|row| read_presented(&row)).transpose()? else {
        c.commit(None).await?;
        return Ok(RefreshOutcome::Unknown);
    };
    let now = exchange.terms.now.as_millis();
    let decision = token.decide(&exchange.terms);
    let (presented, mut successor) = (exchange.presented.as_slice(), exchange.successor());
    match decision {
        RefreshDecision::Use(expires_at) => {
            let expires_at = expires_at.as_millis();
            let values: Values<'_> = &[&presented, &now, &successor.as_slice(), &expires_at, &exchange.ip];
            c.commit(Some((USE, values))).await?;
        }
        RefreshDecision::Again(_) => {
            // A hash has 32 bytes, as the table says.
            let stored = stored.and_then(|stored| stored.try_into().ok()).unwrap_or(successor);
            if let Some(replacement) = exchange.replacement(&stored) {
                let (old, new) = (stored.as_slice(), replacement.as_slice());
                c.commit(Some((REPLACE, &[&presented, &old, &new]))).await?;
            } else {
                c.commit(None).await?;
                successor = stored;
            }
        }
        RefreshDecision::Reused => {
            let job = exchange.reuse_job(&session);
            let event = exchange.end_event(session.user.id, session.id);
            let audit = exchange.audit_event(session.user.id, session.id);
            let ending = SessionEnd::new(session.user.id, session.id, &event, &audit);
            let [session_id, user_id, at, event_id, body, audit] = ending.values();
            let (job_id, due_at) = (key(job.id), job.due_at.as_millis());
            let values: Values<'_> = &[
                session_id,
                user_id,
                at,
                event_id,
                body,
                audit,
                &job_id,
                &job.kind,
                &job.key,
                &job.payload,
                &due_at,
            ];
            c.commit(Some((REUSE, values))).await?;
        }
        RefreshDecision::Expired | RefreshDecision::Ended => c.commit(None).await?,
    }
    Ok(RefreshOutcome::of(decision, exchange, session, successor))
}

/// Deletes the oldest ended sessions. Rows locked by another transaction are skipped: they are deleted the next time.
const FORGET: &str = "\
    WITH oldest AS MATERIALIZED ( \
        SELECT id FROM sessions WHERE least(expires_at, ended_at) < $1 \
        ORDER BY least(expires_at, ended_at) LIMIT $2::bigint FOR UPDATE SKIP LOCKED \
    ) DELETE FROM sessions USING oldest WHERE sessions.id = oldest.id";
