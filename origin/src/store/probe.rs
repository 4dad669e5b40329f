//! Checks of stores. However many ask, a store is checked once at a time, and all get that result: a storm of health checks
//! does not pile up on a store that hangs.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::context::FutureExt as _;
use shared::api::health::{Check, HealthStatus};
use tokio::sync::watch;
use tracing::Instrument as _;

use super::{StoreError, StoreResult};
use crate::clock::Clock;

/// The timeout of a check.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The time for which a result is reused.
const FRESH: Duration = Duration::from_millis(250);

/// The checks of the three stores.
#[derive(Default)]
pub struct Probes {
    /// Of users, sessions, usage.
    pub accounts: Probe,
    /// Of conversations and messages.
    pub chats: Probe,
    /// Of short-lived state.
    pub ephemeral: Probe,
}

/// The checks of one store: the one that runs, or the last one.
#[derive(Default)]
pub struct Probe(Mutex<Option<watch::Receiver<Option<Finding>>>>);

/// The result of a check, and its time by [`Clock::elapsed`].
#[derive(Clone)]
struct Finding {
    check: Check,
    at: Duration,
}

impl Probe {
    /// Returns the store's answer to this ping, or its recent answer to another.
    pub async fn check(
        &self,
        clock: &Arc<dyn Clock>,
        backend: &'static str,
        ping: impl Future<Output = StoreResult<()>> + Send + 'static,
    ) -> Check {
        let mut finding = self.begin(clock, backend, ping);
        let found = finding.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        found.map_or_else(
            || {
                let error = StoreError::Unavailable("its check has panicked".to_owned());
                judge(backend, &Err(error), Duration::ZERO)
            },
            |found| found.check,
        )
    }

    /// Joins the check that runs or has just ended, or starts one.
    fn begin(
        &self,
        clock: &Arc<dyn Clock>,
        backend: &'static str,
        ping: impl Future<Output = StoreResult<()>> + Send + 'static,
    ) -> watch::Receiver<Option<Finding>> {
        // What is held is replaced as a whole, so a panic leaves nothing half done.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(finding) = known.as_ref().filter(|finding| is_fresh(finding, clock.elapsed())) {
            return finding.clone();
        }
        let (sender, finding) = watch::channel(None);
        *known = Some(finding.clone());
        let clock = Arc::clone(clock);
        let checking = async move {
            let started = clock.elapsed();
            let outcome = tokio::time::timeout(TIMEOUT, ping).await.unwrap_or(Err(StoreError::Timeout));
            let at = clock.elapsed();
            let check = judge(backend, &outcome, at.saturating_sub(started));
            sender.send_replace(Some(Finding { check, at }));
        };
        // On its own: whoever asked first may leave while others wait. In the log it is of that request.
        tokio::spawn(checking.with_current_context().in_current_span());
        finding
    }
}

fn is_fresh(finding: &watch::Receiver<Option<Finding>>, now: Duration) -> bool {
    match &*finding.borrow() {
        Some(finding) => now.saturating_sub(finding.at) < FRESH,
        // Still running, unless it has panicked.
        None => finding.has_changed().is_ok(),
    }
}

fn judge(backend: &'static str, outcome: &StoreResult<()>, latency: Duration) -> Check {
    if let Err(error) = outcome {
        tracing::warn!(%error, backend, "a store failed its check");
    }
    Check {
        status: if outcome.is_ok() { HealthStatus::Ok } else { HealthStatus::Unavailable },
        backend: backend.into(),
        latency_ms: (latency.as_secs_f64() * 1_000_000.0).round() / 1_000.0,
        error: outcome.as_ref().err().map(|error| error.kind().into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use shared::time::Timestamp;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::clock::SystemClock;

    /// A clock that tests set, in milliseconds.
    struct Hand(AtomicUsize);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn elapsed(&self) -> Duration {
            Duration::from_millis(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
        }
    }

    #[tokio::test]
    async fn result_is_reused_for_250_ms() {
        let (probe, hand) = (Probe::default(), Arc::new(Hand(AtomicUsize::new(0))));
        let clock: Arc<dyn Clock> = Arc::clone(&hand) as _;
        let down = async { Err(StoreError::Timeout) };
        assert_eq!(probe.check(&clock, "test", down).await.error.as_deref(), Some("timeout"));
        hand.0.store(249, Ordering::SeqCst);
        assert_eq!(probe.check(&clock, "test", async { Ok(()) }).await.error.as_deref(), Some("timeout"));
        hand.0.store(250, Ordering::SeqCst);
        assert_eq!(probe.check(&clock, "test", async { Ok(()) }).await.error, None);
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(SystemClock::start())
    }

    #[tokio::test]
    async fn concurrent_checks_share_one_ping() {
        let (probe, clock) = (Probe::default(), clock());
        let (pings, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let ping = || {
            let (pings, gate) = (Arc::clone(&pings), Arc::clone(&gate));
            async move {
                pings.fetch_add(1, Ordering::SeqCst);
                drop(gate.acquire().await);
                StoreResult::Err(StoreError::Overloaded)
            }
        };
        let probe = Arc::new(probe);
        let ask = || {
            let (probe, clock, ping) = (Arc::clone(&probe), Arc::clone(&clock), ping());
            tokio::spawn(async move { probe.check(&clock, "test", ping).await })
        };
        // The first caller is dropped at once; the check continues for the others.
        let first = ask();
        while pings.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.is_err());
        let others: Vec<_> = (0..100).map(|_| ask()).collect();
        gate.close();
        for other in others {
            let check = other.await.unwrap();
            assert_eq!(
                (check.status, check.error.as_deref()),
                (HealthStatus::Unavailable, Some("overloaded"))
            );
        }
        assert_eq!(pings.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn hanging_store_times_out() {
        let (probe, clock) = (Probe::default(), clock());
        let check = probe.check(&clock, "test", std::future::pending()).await;
        assert_eq!((check.status, check.error.as_deref()), (HealthStatus::Unavailable, Some("timeout")));
        assert!((2_000.0..3_000.0).contains(&check.latency_ms), "{}", check.latency_ms);
    }

    #[tokio::test]
    async fn panicking_check_fails_and_next_one_runs() {
        let (probe, clock) = (Probe::default(), clock());
        let broken = probe.check(&clock, "test", async { panic!("on purpose") }).await;
        assert_eq!(
            (broken.status, broken.error.as_deref()),
            (HealthStatus::Unavailable, Some("unavailable"))
        );
        let next = probe.check(&clock, "test", async { Ok(()) }).await;
        assert_eq!((next.status, next.error), (HealthStatus::Ok, None));
    }
}
