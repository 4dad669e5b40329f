//! Tests beyond the contract suite: concurrent starts, a silent server, broken connections.

mod tls;
mod wire;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use shared::{api::account::User, auth::refresh::ExchangeTerms};

use super::{
    accounts::PostgresAccounts,
    migrate,
    pool::{Limits, Pool},
    step_error::StepError,
};
use crate::{
    config::stores::PostgresConfig,
    store::{
        StoreError,
        accounts::{
            Backend as _, Sessions as _, Users as _,
            sessions::{RefreshExchange, RefreshOutcome},
            users::Registration,
        },
        contract::{
            postgres::{Database, client, command},
            samples::{at, hash, id, opening_event, registration_job, reuse_job, session, user},
        },
    },
};
use wire::Wire;

/// Short enough for a test to see them pass, long enough for a busy machine to answer within them.
const SHORT: Limits = Limits {
    operation: Duration::from_secs(2),
    wait: Duration::from_millis(500),
    connect: Duration::from_secs(1),
};
/// The timeout of waits in tests.
const BOUND: Duration = Duration::from_secs(20);

/// A migrated database with user 1 in it.
async fn database() -> Database {
    let database = Database::create().await;
    let store = PostgresAccounts::open(&database.config).await.unwrap();
    let registered = register(&store).await.unwrap();
    assert_eq!(registered, Registration::Created);
    database
}

async fn register(store: &PostgresAccounts) -> Result<Registration, StoreError> {
    let session = session(1, &user(1));
    let audit = opening_event(&session);
    let job = registration_job(&session);
    store.register(user(1), "phc".to_owned(), session, audit, job).await
}

/// Not part of the suite: it needs older tables of the same names.
#[tokio::test]
async fn tables_of_earlier_backend_are_kept() {
    let database = Database::create().await;
    command(&database.config, "CREATE TABLE public.users (id serial PRIMARY KEY, email text)").await;
    command(&database.config, "INSERT INTO public.users (email) VALUES ('old@example.com')").await;
    let store = PostgresAccounts::open(&database.config).await.unwrap();
    let registered = register(&store).await.unwrap();
    assert_eq!(registered, Registration::Created);
    let old = client(&database.config).await.query("SELECT email FROM public.users", &[]).await.unwrap();
    assert_eq!(old.len(), 1);
    assert!(migrate::accounts(&database.config).await.unwrap().is_empty());
}

fn store(config: &PostgresConfig, pool_size: usize, limits: Limits) -> Arc<PostgresAccounts> {
    Arc::new(PostgresAccounts::connect(&PostgresConfig { pool_size, ..config.clone() }, limits).unwrap())
}

async fn read_user(store: &PostgresAccounts) -> Result<User, StoreError> {
    let found = tokio::time::timeout(BOUND, store.session(id(1), id(1_001))).await.unwrap();
    found.map(|session| session.unwrap().user)
}

/// Reads so many times at once.
async fn read_at_once(store: &Arc<PostgresAccounts>, count: usize) -> Vec<Result<User, StoreError>> {
    let reads: Vec<_> = (0..count)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move { read_user(&store).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for read in reads {
        outcomes.push(read.await.unwrap());
    }
    outcomes
}

fn exchange() -> RefreshExchange {
    RefreshExchange {
        presented: hash(1),
        successors: vec![hash(2)],
        terms: ExchangeTerms { successor_expires_at: at(500_000), now: at(1_000), grace_ms: 10_000 },
        ip: None,
        request_id: None,
        audit_id: id(9_000_000),
        event_id: id(9_000),
        on_reuse: reuse_job(2_000),
    }
}

/// Waits until a query answers true.
async fn until(config: &PostgresConfig, sql: &str) {
    let client = client(config).await;
    let asking = async {
        while !client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, asking).await.unwrap_or_else(|_| panic!("never: {sql}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_number_of_starts_at_once_migrate_once() {
    let database = Database::create().await;
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let config = database.config.clone();
            tokio::spawn(async move { migrate::accounts(&config).await.map(|applied| applied.len()) })
        })
        .collect();
    let mut applied = Vec::new();
    for start in starts {
        applied.push(start.await.unwrap().unwrap());
    }
    assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
    assert_eq!(migrate::accounts(&database.config).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn older_version_starts_on_newer_schema() {
    let database = database().await;
    let newer = "INSERT INTO refinery_schema_history VALUES (1000, 'later', '2030-01-01T00:00:00Z', '1'); \
                 ALTER TABLE users ADD COLUMN later text";
    command(&database.config, newer).await;
    assert!(PostgresAccounts::open(&database.config).await.is_ok());
    assert_eq!(read_user(&store(&database.config, 1, SHORT)).await.unwrap(), user(1));
}

/// Through a pooler in transaction mode the lock may stay with a connection of the pooler.
#[tokio::test]
async fn migrated_database_is_opened_without_lock() {
    let database = database().await;
    let other = client(&database.config).await;
    other.batch_execute(&format!("SELECT pg_advisory_lock({})", migrate::LOCK)).await.unwrap();
    let opened = tokio::time::timeout(BOUND, PostgresAccounts::open(&database.config)).await;
    opened.expect("nobody waits for the lock").unwrap();
}

#[tokio::test]
async fn migrated_database_is_opened_by_role_without_create() {
    let database = database().await;
    let mut config = database.config.clone();
    config.server.options("-c role=pg_read_all_data");
    PostgresAccounts::open(&config).await.unwrap();
}

#[tokio::test]
async fn permanent_connect_error_is_refused() {
    let fresh = Database::create().await;
    let mut config = fresh.config.clone();
    config.server.options("-c role=pg_read_all_data");
    let error = migrate::accounts(&config).await.unwrap_err();
    assert_eq!(error.kind(), "refused", "no schema may be made: {error}");
    command(&fresh.config, "CREATE SCHEMA edgechat").await;
    let error = migrate::accounts(&config).await.unwrap_err();
    assert_eq!(error.kind(), "refused", "no table may be made: {error}");

    let database = database().await;
    command(&database.config, "UPDATE refinery_schema_history SET checksum = '1'").await;
    let error = migrate::accounts(&database.config).await.unwrap_err();
    assert_eq!(error.kind(), "refused", "another history: {error}");
    command(&database.config, "DELETE FROM refinery_schema_history").await;
    let error = migrate::accounts(&database.config).await.unwrap_err();
    assert_eq!(error.kind(), "refused", "the tables are there already: {error}");
}

#[tokio::test]
async fn database_without_utf8_is_refused_by_name() {
    let database = Database::with("ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0").await;
    let error = migrate::accounts(&database.config).await.unwrap_err().to_string();
    assert!(error.contains("SQL_ASCII") && error.contains("UTF8"), "{error}");
}

#[tokio::test]
async fn connections_have_the_settings() {
    let database = database().await;
    let pool = Pool::new(&database.config, SHORT).unwrap();
    let names = "SELECT current_setting('synchronous_commit'), current_setting('statement_timeout'), \
                 current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'), \
                 current_setting('default_transaction_isolation'), current_setting('application_name')";
    let row = pool.run(|c| async move { c.row(names, &[]).await }).await.unwrap().unwrap();
    let found: Vec<String> = (0..6).map(|column| row.get(column)).collect();
    assert_eq!(found, ["on", "5s", "4s", "10s", "read committed", "edgechat"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_were_ended_are_survived_without_an_error() {
    let database = database().await;
    let store = store(&database.config, 8, Limits::DEFAULT);
    let end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..5 {
        assert!(read_at_once(&store, 32).await.iter().all(Result::is_ok));
        let running = tokio::spawn({
            let store = Arc::clone(&store);
            async move { read_at_once(&store, 200).await }
        });
        command(&database.config, end_all).await;
        for outcome in running.await.unwrap() {
            assert_eq!(outcome.unwrap(), user(1));
        }
    }
}

#[tokio::test]
async fn silent_server_ends_in_timeout() {
    let database = database().await;
    let wire = Wire::to(&database.config).await;
    wire.silence_all();
    let store = store(&wire.lead(&database.config), 2, SHORT);
    assert_eq!(read_user(&store).await.unwrap_err().kind(), "timeout");
    assert_eq!(store.ping().await.unwrap_err().kind(), "timeout");
    wire.speak();
    assert_eq!(read_user(&store).await.unwrap(), user(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn server_that_falls_silent_fails_calls_and_recovers() {
    let database = database().await;
    let wire = Wire::to(&database.config).await;
    let store = store(&wire.lead(&database.config), 4, SHORT);
    assert!(read_at_once(&store, 16).await.iter().all(Result::is_ok));
    wire.silence_all();
    for outcome in read_at_once(&store, 16).await {
        let kind = outcome.unwrap_err().kind();
        assert!(["timeout", "overloaded"].contains(&kind), "{kind}");
    }
    wire.speak();
    assert_eq!(read_user(&store).await.unwrap(), user(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn silent_connection_replaces_all_connections() {
    let database = database().await;
    let wire = Wire::to(&database.config).await;
    let store = store(&wire.lead(&database.config), 8, SHORT);
    while wire.connections() < 8 {
        assert!(read_at_once(&store, 32).await.iter().all(Result::is_ok));
    }
    wire.silence_those_made();
    assert_eq!(read_user(&store).await.unwrap_err().kind(), "timeout");
    assert_eq!(read_user(&store).await.unwrap(), user(1));
}

#[tokio::test]
async fn absent_server_is_unavailable_at_once() {
    let database = database().await;
    let mut config = Wire::to(&database.config).await.lead(&database.config);
    config.server = tokio_postgres::Config::new();
    // A port of this machine without a listener.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    config.server.host("127.0.0.1").port(port).user("nobody");
    let error = store(&config, 1, Limits::DEFAULT).ping().await.unwrap_err();
    assert_eq!(error.kind(), "unavailable");
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(migrate::accounts(&config).await.unwrap_err().kind(), "unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn call_dropped_in_transaction_leaves_nothing_open() {
    let database = database().await;
    let store = store(&database.config, 1, Limits::DEFAULT);
    let other = client(&database.config).await;
    other.batch_execute("BEGIN; SELECT FROM sessions FOR UPDATE").await.unwrap();
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.exchange_refresh(exchange()).await }
    });
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    until(&database.config, waits).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    other.batch_execute("COMMIT").await.unwrap();
    let outcome = store.exchange_refresh(exchange()).await.unwrap();
    assert!(matches!(outcome, RefreshOutcome::Exchanged { .. }), "{outcome:?}");
    let none_open = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                     AND state LIKE 'idle in transaction%')";
    until(&database.config, none_open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wait_for_connection_over_limit_is_overloaded() {
    let database = database().await;
    let store = store(&database.config, 1, Limits { operation: BOUND, ..SHORT });
    let other = client(&database.config).await;
    other.batch_execute("BEGIN; SELECT FROM sessions FOR UPDATE").await.unwrap();
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.exchange_refresh(exchange()).await }
    });
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    until(&database.config, waits).await;
    assert_eq!(read_user(&store).await.unwrap_err().kind(), "overloaded");
    other.batch_execute("COMMIT").await.unwrap();
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn transient_step_is_repeated_and_final_one_is_not() {
    let database = database().await;
    let pool = Pool::new(&database.config, SHORT).unwrap();
    let deadlock: fn() -> StepError = || StepError::Again("deadlock");
    let gone: fn() -> StepError = || StepError::Broken("gone".to_owned());
    let refused: fn() -> StepError = || StepError::Final(StoreError::Conflict("no"));
    let cases = [(deadlock, 3, "overloaded"), (gone, 3, "unavailable"), (refused, 1, "conflict")];
    for (failure, tries, kind) in cases {
        let tried = AtomicUsize::new(0);
        let tried = &tried;
        let outcome: Result<(), _> = pool
            .run(|_| async move {
                tried.fetch_add(1, Ordering::SeqCst);
                Err(failure())
            })
            .await;
        assert_eq!((outcome.unwrap_err().kind(), tried.load(Ordering::SeqCst)), (kind, tries));
        let second_succeeds = pool
            .run(|_| async move {
                if tried.fetch_add(1, Ordering::SeqCst) == tries { Err(failure()) } else { Ok(()) }
            })
            .await;
        assert_eq!(second_succeeds.is_ok(), tries > 1);
    }
}

#[tokio::test]
async fn ended_sessions_are_found_by_index() {
    let database = database().await;
    let client = client(&database.config).await;
    // Next to empty, the table would be read as a whole.
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").await.unwrap();
    let sql = "EXPLAIN SELECT id FROM sessions WHERE least(expires_at, ended_at) < 7 \
               ORDER BY least(expires_at, ended_at) LIMIT 10 FOR UPDATE SKIP LOCKED";
    let plan: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let plan = plan.join("; ");
    assert!(plan.contains("Index Scan using sessions_by_end") && !plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn forgetting_waits_for_nobody_who_has_an_old_session() {
    let database = database().await;
    let other = client(&database.config).await;
    other.batch_execute("BEGIN; SELECT FROM sessions FOR UPDATE").await.unwrap();
    let store = store(&database.config, 1, SHORT);
    assert_eq!(store.forget_sessions(at(1_000_001), 10).await.unwrap(), 0);
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.forget_sessions(at(1_000_001), 10).await.unwrap(), 1);
    assert!(store.session(id(1), id(1_001)).await.unwrap().is_none());
}

#[tokio::test]
async fn corrupt_row_is_named() {
    let database = database().await;
    // A name that only a newer version knows is kept as it is.
    command(&database.config, "UPDATE users SET plan = 'gold'").await;
    let user = read_user(&store(&database.config, 1, SHORT)).await.unwrap();
    assert_eq!(user.plan.as_str(), "gold");
    command(&database.config, "UPDATE users SET plan = ''").await;
    let error = read_user(&store(&database.config, 1, SHORT)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("corrupt: users.plan of {}", id(1)));
}

#[tokio::test]
async fn text_with_nul_is_a_named_conflict() {
    let database = database().await;
    let store = store(&database.config, 1, SHORT);
    let mut opening = session(2, &user(1));
    opening.device_name = Some("a\0b".to_owned());
    let audit = opening_event(&opening);
    let error = store.open_session(opening, 9, audit).await.unwrap_err();
    assert_eq!(error.kind(), "conflict");
    assert!(error.to_string().contains("U+0000"), "{error}");
}
