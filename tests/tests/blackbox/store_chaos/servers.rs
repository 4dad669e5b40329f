//! Tests of the private servers that the other tests kill: durable ones keep acknowledged writes, and a suspended one does not
//! answer.

use std::time::Duration;

use edgechat_tests::servers::{Durability, Server, database, mongo, postgres, redis};
use mongodb::bson::{Document, doc};

/// The wait after which a server counts as suspended; each answers sooner.
const SILENT: Duration = Duration::from_millis(500);

async fn count(server: &Server) -> i64 {
    let client = database::postgres(server.url()).await.unwrap();
    client.query_one("SELECT count(*) FROM kept", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn durable_postgresql_keeps_acknowledged_writes() {
    let mut server = postgres::start(Durability::Durable).await;
    assert_eq!(postgres::about(server.url()).await.unwrap().name, "PostgreSQL");
    let client = database::postgres(server.url()).await.unwrap();
    client.batch_execute("CREATE TABLE kept (number int); INSERT INTO kept VALUES (1)").await.unwrap();
    server.kill().await;
    assert!(database::postgres(server.url()).await.is_err());
    server.start().await;
    assert_eq!(count(&server).await, 1);

    // An existing connection hangs too: all processes are suspended, not the first alone.
    let client = database::postgres(server.url()).await.unwrap();
    server.suspend().await;
    let mut answer = Box::pin(client.query_one("SELECT 1", &[]));
    assert!(tokio::time::timeout(SILENT, &mut answer).await.is_err());
    server.resume().await;
    let answer: i32 = answer.await.unwrap().get(0);
    assert_eq!(answer, 1);
}

#[tokio::test]
async fn durable_mongodb_keeps_acknowledged_writes() {
    let mut server = mongo::start(Durability::Durable).await;
    let about = mongo::about(server.url()).await.unwrap();
    assert_eq!(about.cannot_show.is_empty(), mongo::durable_one_decides_races(), "{about:?}");
    let kept = |client: mongodb::Client| client.database("test").collection::<Document>("kept");
    kept(database::mongo(server.url()).await.unwrap()).insert_one(doc! { "_id": 1 }).await.unwrap();
    server.kill().await;
    server.start().await;
    let collection = kept(database::mongo(server.url()).await.unwrap());
    assert_eq!(collection.find_one(doc! { "_id": 1 }).await.unwrap(), Some(doc! { "_id": 1 }));

    server.suspend().await;
    assert!(tokio::time::timeout(SILENT, collection.find_one(doc! {}).into_future()).await.is_err());
    server.resume().await;
    assert!(collection.find_one(doc! {}).await.unwrap().is_some());
}

#[tokio::test]
async fn durable_redis_keeps_acknowledged_writes() {
    let mut server = redis::start(Durability::Durable).await;
    assert_eq!(redis::about(server.url()).await.unwrap().name, "Redis");
    let mut connection = database::redis(server.url()).await.unwrap();
    let () = ::redis::cmd("SET").arg("kept").arg(1).query_async(&mut connection).await.unwrap();
    server.kill().await;
    server.start().await;
    let mut connection = database::redis(server.url()).await.unwrap();
    let kept: i64 = ::redis::cmd("GET").arg("kept").query_async(&mut connection).await.unwrap();
    assert_eq!(kept, 1);
}
