//! Tests of `kill -9` under load.

use std::time::Duration;

use edgechat_tests::servers::mongo;

use super::{
    Store,
    load::{Load, Totals, serves},
    world_with,
};

const KILLS: u64 = 20;
/// The recovery bound after a server is back, without a restart of the origin.
const BACK: Duration = Duration::from_secs(10);

/// Kills one server repeatedly while users register, sign in and chat, and checks every ledger at the end.
async fn killed(store: Store) -> Totals {
    let (env, mut server) = world_with(store).await;
    let one_writer = store == Store::Mongo && !mongo::durable_one_decides_races();
    let load = Load::start(&env, one_writer).await;
    for kill in 0..KILLS {
        // A varying number of answers, so that each kill hits another moment.
        load.answers(1 + kill % 5).await;
        server.kill().await;
        // Without Redis nothing fails; another server stays down until a request has met that, as not every request needs it.
        match store {
            Store::Redis => load.answers(kill % 3).await,
            Store::Postgres | Store::Mongo => load.failures(kill % 3).await,
        }
        server.start().await;
        let email = format!("after-{kill}@example.com");
        serves(&env, &email, BACK).await;
    }
    let totals = load.finish().await;
    assert!(totals.turns as u64 >= KILLS && totals.registered as u64 >= KILLS / 4, "{totals:?}");
    totals
}

#[tokio::test]
async fn killed_postgresql_loses_no_acknowledged_write() {
    let totals = killed(Store::Postgres).await;
    assert!(totals.failed > 0, "no request failed: {totals:?}");
}

#[tokio::test]
async fn killed_mongodb_loses_no_acknowledged_write() {
    let totals = killed(Store::Mongo).await;
    assert!(totals.failed > 0, "no request failed: {totals:?}");
}

#[tokio::test]
async fn killed_redis_fails_no_request() {
    let totals = killed(Store::Redis).await;
    assert_eq!(totals.failed, 0, "{totals:?}");
}
