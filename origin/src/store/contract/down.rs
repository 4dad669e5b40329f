//! Stores that do not answer, for tests: the embedded adapters with their threads gone, and short-lived state that does not
//! even answer from the process's memory, the worst that port allows.

use std::sync::Arc;

use async_trait::async_trait;
use shared::{
    id::Id,
    limits::{
        failures::{FailureDecision, FailureDelay, FailureState},
        gcra::{Gcra, GcraDecision},
        window::FixedWindow,
    },
    time::Timestamp,
};

use crate::store::{
    Accounts, Chats, Ephemeral, StoreError, StoreResult,
    ephemeral::{CacheGroup, Cached, CodeOutcome, OneTimeCode, WindowDecision},
    sqlite::{SqliteAccounts, SqliteChats},
};

pub(crate) fn accounts() -> Arc<dyn Accounts> {
    Arc::new(SqliteAccounts::stopped())
}

pub(crate) fn chats() -> Arc<dyn Chats> {
    Arc::new(SqliteChats::stopped())
}

pub(crate) fn ephemeral() -> Arc<dyn Ephemeral> {
    Arc::new(Down)
}

struct Down;

/// Implements the port: the listed methods fail, the others are in braces.
macro_rules! failing {
    ({ $($others:tt)* } $($name:ident($($argument:ty),*) -> $value:ty;)*) => {
        #[async_trait]
        impl Ephemeral for Down {
            $($others)*

            $(async fn $name(&self $(, _: $argument)*) -> StoreResult<$value> {
                Err(StoreError::Unavailable("a secret of the inside".to_owned()))
            })*
        }
    };
}

failing! {
    {
        fn backend(&self) -> &'static str {
            "down"
        }

        async fn cached(&self, _: CacheGroup, _: &str, lease: Id, _: Timestamp) -> Cached {
            Cached { value: None, lease }
        }

        async fn fill(&self, _: CacheGroup, _: &str, _: Id, _: Vec<u8>, _: Timestamp, _: Timestamp) {}

        async fn invalidate(&self, _: CacheGroup) {}

        async fn flush(&self) {}
    }
    ping() -> ();
    count(&str, FixedWindow, Timestamp) -> WindowDecision;
    undo_count(&str, FixedWindow, Timestamp) -> ();
    count_failure(&str, FailureDelay, Timestamp) -> FailureDecision;
    undo_failure(&str, FailureDelay, FailureState, Timestamp) -> ();
    check_failures(&str, FailureDelay, Timestamp) -> FailureDecision;
    admit(&str, Gcra, Timestamp) -> GcraDecision;
    insert_nonce(&str, Timestamp, Timestamp) -> bool;
    get_or_insert(&str, Vec<u8>, Timestamp, Timestamp) -> Vec<u8>;
    get(&str, Timestamp) -> Option<Vec<u8>>;
    put_code(&str, OneTimeCode, Timestamp) -> ();
    try_code(&str, [u8; 32], Timestamp) -> CodeOutcome;
    put_challenge(&str, Vec<u8>, Timestamp, Timestamp) -> ();
    take_challenge(&str, Timestamp) -> Option<Vec<u8>>;
}
