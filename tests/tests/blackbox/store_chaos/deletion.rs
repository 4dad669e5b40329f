//! A deletion while a server is away: it completes once that is back.

use std::time::Duration;

use edgechat_tests::{client::turn_path, wait::until};
use mongodb::bson::{Document, doc};
use shared::api::ErrorCode;

use super::{
    super::deletion::{DELETED, delete},
    Store, setup_with,
};

/// The bound on the completion: a failed job waits for some seconds, longer each time.
const COMPLETED: Duration = Duration::from_mins(2);

#[tokio::test]
async fn deletion_with_mongodb_down_completes_once_it_is_back() {
    let (setup, mut mongo) = setup_with(Store::Mongo).await;
    let env = setup.var("ACCOUNT_DELETION_GRACE_DAYS", "0").start().await;
    let phone = env.phone().await;
    let mut turn = None;
    for text in ["Hello", "And now?"] {
        let conversation = phone.conversation().await;
        turn = Some(phone.send_and_persist(conversation, text).await.turn_id);
    }
    mongo.kill().await;
    let _ = delete(&phone).await;
    env.origin_log().wait_for("the step of conversations failed").await;
    assert!(env.origin_log().lines().iter().all(|line| !line.contains(DELETED)));
    mongo.start().await;
    until(COMPLETED, "the account to be deleted", || async {
        env.origin_log().lines().iter().any(|line| line.contains(DELETED)).then_some(())
    })
    .await;
    phone.client.get(&turn_path(turn.unwrap())).send().await.problem(ErrorCode::SessionEnded);
    // Of the only user of this server. Ids of deleted conversations stay for two days.
    let client = edgechat_tests::servers::database::mongo(mongo.url()).await.unwrap();
    let mut left = Vec::new();
    for name in client.list_database_names().await.unwrap() {
        for collection in ["messages", "turns"] {
            let found = client.database(&name).collection::<Document>(collection).find_one(doc! {}).await;
            left.extend(found.unwrap());
        }
    }
    assert_eq!(left, []);
}
