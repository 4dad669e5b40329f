//! Tests beyond the contract suites: Redis that is away, late, replaced or absent.
//!
//! - `away`: behaviour while it is away, and when it is back
//! - `opening`: addresses that serve, that may serve later, and that never will
//! - `shared_with_others`: visibility between processes on one server, and the effects of dropped calls
//! - `arithmetic`: the scripts against the arithmetic in `shared`
//! - `private`: a server of a test's own; `way`: a failing proxy to one

mod arithmetic;
mod away;
mod opening;
mod shared_with_others;
mod way;

pub(in crate::store) mod private;

use std::{env, time::Duration};

use shared::{id::Id, time::Timestamp};

use super::RedisEphemeral;
use crate::store::{Ephemeral as _, contract::redis::open};

/// Later than the clock of the machine, as any caller's time may be.
const START: Timestamp = Timestamp::from_millis(1_895_253_400_007);
/// The timeout of commands in tests of timeouts.
const IMPATIENT: Duration = Duration::from_millis(80);
/// The timeout for a busy machine.
const PATIENT: Duration = Duration::from_secs(10);

fn at(millis: i64) -> Timestamp {
    START.plus_millis(millis)
}

fn id(number: u128) -> Id {
    Id::from_bytes(number.to_be_bytes())
}

/// Opens a store on this server in which no command times out, and which the server answers.
async fn patient(url: &str, key_prefix: &str) -> RedisEphemeral {
    let store = open(url, key_prefix, PATIENT).await.unwrap();
    // Where the first attempt is late, a later one serves.
    private::until(async || store.ping().await.is_ok()).await;
    store
}

/// The server that all tests share, and a prefix of this test's own.
fn shared_server() -> (String, String) {
    let url = env::var("EDGECHAT_TEST_REDIS")
        .unwrap_or_else(|_| panic!("EDGECHAT_TEST_REDIS is not set: run this suite by `cargo xtask test`"));
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    (url, format!("edgechat_test_{:016x}", u64::from_be_bytes(bytes)))
}
