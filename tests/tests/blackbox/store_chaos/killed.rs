//! `kill -9` under load.

use std::time::Duration;

use edgechat_tests::servers::mongo;

use super::{
    Store,
    load::{Load, Settled, serves},
    world_with,
};

const KILLS: u64 = 20;
/// How soon everything works again after a server is back, without a word to the origin.
const BACK: Duration = Duration::from_secs(10);

/// Kills one server again and again while users register, sign in and chat, and compares in the end.
async fn killed(store: Store) -> Settled {
    let (world, mut server) = world_with(store).await;
    let one_writer = store == Store::Mongo && !mongo::durable_one_decides_races();
    let load = Load::start(&world, one_writer).await;
    for kill in 0..KILLS {
        // Some more answers each time, so that it hits other moments.
        load.answers(1 + kill % 5).await;
        server.kill().await;
        load.answers(kill % 3).await;
        server.start().await;
        let email = format!("after-{kill}@example.com");
        serves(&world, &email, BACK).await;
    }
    let settled = load.settle().await;
    assert!(settled.turns as u64 >= KILLS && settled.registered as u64 >= KILLS / 4, "{settled:?}");
    settled
}

#[tokio::test]
async fn postgresql_dies_twenty_times_and_nothing_acknowledged_is_lost() {
    let settled = killed(Store::Postgres).await;
    assert!(settled.failed > 0, "nobody noticed: {settled:?}");
}

#[tokio::test]
async fn mongodb_dies_twenty_times_and_nothing_acknowledged_is_lost() {
    let settled = killed(Store::Mongo).await;
    assert!(settled.failed > 0, "nobody noticed: {settled:?}");
}

#[tokio::test]
async fn redis_dies_twenty_times_and_nobody_notices() {
    let settled = killed(Store::Redis).await;
    assert_eq!(settled.failed, 0, "{settled:?}");
}
