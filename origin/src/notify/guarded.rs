//! An adapter with a circuit breaker: while its server fails, most messages fail at once instead of waiting for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use shared::{
    backoff::Backoff,
    breaker::{Breaker, BreakerLimits, CallOutcome},
    time::SECOND_MS,
};

use super::{Channel, Message, Messenger, SendError};
use crate::{clock::Clock, random::Random, telemetry::messages::set_circuit};

/// The bounds of the breaker. A probe takes less than a delivery may.
const LIMITS: BreakerLimits = BreakerLimits {
    max_failures: 5,
    pause: Backoff { first_ms: 5 * SECOND_MS, longest_ms: 5 * 60 * SECOND_MS },
    probe_ms: 30 * SECOND_MS,
};

/// An adapter whose server is left alone while it fails.
pub struct Guarded<M> {
    adapter: M,
    /// The channel, for the metrics.
    channel: Channel,
    /// The server, for the log.
    server: &'static str,
    breaker: Mutex<Breaker>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl<M: Messenger> Guarded<M> {
    /// Guards the adapter of a channel; `server` is what the log calls its server.
    pub fn new(
        adapter: M,
        channel: Channel,
        server: &'static str,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        set_circuit(channel.as_str(), false);
        Self { adapter, channel, server, breaker: Mutex::new(Breaker::new(LIMITS)), clock, random }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<M: Messenger> Messenger for Guarded<M> {
    async fn send(&self, message: Message) -> Result<(), SendError> {
        let admitted = self.breaker().admit(self.clock.now());
        let permit = admitted.map_err(|until| {
            SendError::Unavailable(format!(
                "{} failed repeatedly and is left alone until {until}",
                self.server
            ))
        })?;
        let sent = self.adapter.send(message).await;
        let outcome = match &sent {
            Err(SendError::Unavailable(_)) => CallOutcome::Failed,
            Ok(()) | Err(SendError::Postponed(_) | SendError::Refused(_)) => CallOutcome::Answered,
        };
        let mut jitter = [0; 4];
        self.random.fill(&mut jitter);
        let jitter = u32::from_ne_bytes(jitter);
        let (is_opened, is_open) = {
            let mut breaker = self.breaker();
            (breaker.record(permit, outcome, self.clock.now(), jitter), !breaker.is_closed())
        };
        set_circuit(self.channel.as_str(), is_open);
        if is_opened {
            tracing::warn!("{} fails and is left alone for a while", self.server);
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use shared::{address::Address, id::Id, time::Timestamp};

    use super::*;
    use crate::{clock::TestClock, notify::Purpose, random::SystemRandom};

    /// An adapter that counts its calls and answers the same each time.
    struct Scripted {
        calls: AtomicU32,
        answer: Mutex<Result<(), SendError>>,
    }

    #[async_trait]
    impl Messenger for Arc<Scripted> {
        async fn send(&self, _: Message) -> Result<(), SendError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            self.answer.lock().unwrap().clone()
        }
    }

    fn message() -> Message {
        Message {
            id: Id::from_bytes([7; 16]),
            to: Address::Phone("+491701234567".to_owned()),
            purpose: Purpose::Login,
            subject: String::new(),
            text: "…".to_owned(),
            code: None,
            link: None,
            token: None,
        }
    }

    fn guarded(answer: Result<(), SendError>) -> (Guarded<Arc<Scripted>>, Arc<Scripted>, Arc<TestClock>) {
        let adapter = Arc::new(Scripted { calls: 0.into(), answer: Mutex::new(answer) });
        let clock = Arc::new(TestClock::at(Timestamp::from_millis(1_795_253_400_007)));
        let random = Arc::new(SystemRandom);
        let guarded = Guarded::new(
            Arc::clone(&adapter),
            Channel::Sms,
            "the server",
            Arc::clone(&clock) as Arc<dyn Clock>,
            random,
        );
        (guarded, adapter, clock)
    }

    #[tokio::test]
    async fn failing_server_is_left_alone_and_probed_after_the_pause() {
        let (guarded, adapter, clock) = guarded(Err(SendError::Unavailable("away".to_owned())));
        for _ in 0..20 {
            assert!(!guarded.send(message()).await.unwrap_err().is_permanent());
        }
        assert_eq!(adapter.calls.load(Ordering::SeqCst), 5);
        *adapter.answer.lock().unwrap() = Ok(());
        clock.advance(5 * SECOND_MS);
        for calls in 6..20 {
            assert_eq!(guarded.send(message()).await, Ok(()));
            assert_eq!(adapter.calls.load(Ordering::SeqCst), calls);
        }
    }

    #[tokio::test]
    async fn server_that_answers_is_always_called() {
        for answer in
            [Ok(()), Err(SendError::Postponed("later".to_owned())), Err(SendError::Refused("no".to_owned()))]
        {
            let (guarded, adapter, _) = guarded(answer.clone());
            for _ in 0..20 {
                assert_eq!(guarded.send(message()).await, answer);
            }
            assert_eq!(adapter.calls.load(Ordering::SeqCst), 20);
        }
    }
}
