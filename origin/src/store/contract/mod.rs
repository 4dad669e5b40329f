//! The contract suites: one for each port, listed once, run on each adapter.
//!
//! A suite opens a store of its own for each case. A requested backend that is absent fails its cases.

mod accounts;
mod chats;
pub(crate) mod down;
mod ephemeral;
pub(super) mod mongo;
pub(super) mod postgres;
pub(super) mod redis;
pub(super) mod samples;
mod servers;

use std::{future::Future, sync::Arc};

use tempfile::TempDir;

use super::{
    Accounts, Chats, Ephemeral,
    memory::MemoryEphemeral,
    sqlite::{SqliteAccounts, SqliteChats},
};

/// Runs each case of a suite on a fresh store.
macro_rules! run_suite {
    ($port:ident::$entity:ident on $open:expr; $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                let (store, _guard) = $open;
                $crate::store::contract::$port::$entity::$case(store).await;
            }
        )+
    };
}
use run_suite;

mod accounts_on_sqlite {
    super::accounts::suite!(super::sqlite_accounts().await);
}

mod accounts_on_postgres {
    super::accounts::suite!(super::postgres::accounts().await);
}

mod runners_on_sqlite {
    super::run_suite! { accounts::runners on super::two_sqlite_accounts().await;
        job_with_two_origins_runs_once
    }
}

mod runners_on_postgres {
    super::run_suite! { accounts::runners on super::postgres::two_accounts().await;
        job_with_two_origins_runs_once
    }
}

mod chats_on_sqlite {
    super::chats::suite!(super::sqlite_chats().await);
}

mod chats_on_mongo {
    super::chats::suite!(super::mongo::chats("EDGECHAT_TEST_MONGO").await);
}

mod chats_on_durable_mongo {
    // FerretDB, which may be this server, has no atomic updates.
    super::chats::suite!(but races: super::mongo::durable_chats().await);
}

mod ephemeral_in_memory {
    super::ephemeral::suite!(super::memory());
}

mod ephemeral_on_redis {
    super::ephemeral::suite!(super::redis::server().await);
}

mod ephemeral_on_redis_cluster {
    super::ephemeral::suite!(super::redis::cluster().await);
}

pub(crate) async fn sqlite_accounts() -> (Arc<dyn Accounts>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteAccounts::open(&folder.path().join("accounts.db")).await.unwrap();
    (Arc::new(store), folder)
}

/// The accounts of two processes on one file.
async fn two_sqlite_accounts() -> ([Arc<dyn Accounts>; 2], TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.db");
    let (one, other) =
        (SqliteAccounts::open(&path).await.unwrap(), SqliteAccounts::open(&path).await.unwrap());
    ([Arc::new(one), Arc::new(other)], folder)
}

async fn sqlite_chats() -> (Arc<dyn Chats>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteChats::open(&folder.path().join("chats.db")).await.unwrap();
    (Arc::new(store), folder)
}

fn memory() -> (Arc<dyn Ephemeral>, ()) {
    (Arc::new(MemoryEphemeral::default()), ())
}

/// Returns the rounds of a case that is also a drill: those that `EDGECHAT_DRILL_ROUNDS` names, or else the usual number.
pub(super) fn drill_rounds(usual: u32) -> u32 {
    std::env::var("EDGECHAT_DRILL_ROUNDS")
        .map_or(usual, |rounds| rounds.parse().expect("EDGECHAT_DRILL_ROUNDS is a number of rounds"))
}

/// Runs so many at once and returns what each returned.
pub(super) async fn at_once<T, F>(count: usize, make: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let running: Vec<_> = (0..count).map(|index| tokio::spawn(make(index))).collect();
    let mut done = Vec::with_capacity(count);
    for task in running {
        done.push(task.await.unwrap());
    }
    done
}
