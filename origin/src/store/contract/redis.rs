//! Redis for the suites: a server that all cases share, each with a prefix of its own, and a cluster of one node.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::Mutex;

use super::{
    Ephemeral, MemoryEphemeral, down,
    servers::{unique_name, url},
};
use crate::{
    config::stores::{RedisConfig, redis::RedisAddress},
    store::{
        StoreResult,
        redis::{PrivateRedis, RedisEphemeral, until},
    },
};

/// The timeout of a command in the suites: their assertions hold while Redis answers, on a busy machine too.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A store on the server that `EDGECHAT_TEST_REDIS` names.
pub(super) async fn server() -> (Arc<dyn Ephemeral>, ()) {
    (Arc::new(open_alone(&url("EDGECHAT_TEST_REDIS"), &unique_name()).await), ())
}

/// The cluster of the cases that run at this time: a new one takes two seconds to serve.
static CLUSTER: Mutex<Weak<PrivateRedis>> = Mutex::const_new(Weak::new());

/// A store on a cluster, which refuses what is not within one slot.
pub(super) async fn cluster() -> (Arc<dyn Ephemeral>, Arc<PrivateRedis>) {
    let mut shared = CLUSTER.lock().await;
    let node = match shared.upgrade() {
        Some(node) => node,
        None => Arc::new(PrivateRedis::cluster().await),
    };
    *shared = Arc::downgrade(&node);
    drop(shared);
    (Arc::new(open_alone(&format!("redis+cluster://{}", node.addr()), &unique_name()).await), node)
}

/// A store whose every answer is from Redis.
pub(in crate::store) async fn open_alone(url: &str, key_prefix: &str) -> RedisEphemeral {
    let store =
        RedisEphemeral::open_within(&config(url, key_prefix), down::ephemeral(), TIMEOUT).await.unwrap();
    // Where the first attempt is late, a later one serves.
    until(async || store.ping().await.is_ok()).await;
    store
}

/// Opens a store at this address, with a memory of its own and this timeout of commands.
pub(in crate::store) async fn open(
    url: &str,
    key_prefix: &str,
    command: Duration,
) -> StoreResult<RedisEphemeral> {
    RedisEphemeral::open_within(&config(url, key_prefix), Arc::new(MemoryEphemeral::default()), command).await
}

fn config(url: &str, key_prefix: &str) -> RedisConfig {
    RedisConfig { address: RedisAddress::parse(url).unwrap(), key_prefix: key_prefix.to_owned() }
}
