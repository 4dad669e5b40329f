//! The mailbox of development: messages stay in this process, the newest of them, and are shown instead of delivered.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use shared::time::Timestamp;

use super::{Message, Messenger, SendError};
use crate::clock::Clock;

/// The most messages that are kept.
const MAX_MESSAGES: usize = 100;

/// Messages that were sent, bounded in number.
pub struct Mailbox {
    clock: Arc<dyn Clock>,
    newest_first: Mutex<VecDeque<SentMessage>>,
}

/// A message in the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// The message.
    pub message: Message,
    /// The time it was first sent.
    pub sent_at: Timestamp,
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, newest_first: Mutex::default() }
    }

    /// Returns the messages, newest first.
    pub fn messages(&self) -> Vec<SentMessage> {
        self.newest_first.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[async_trait]
impl Messenger for Mailbox {
    async fn send(&self, message: Message) -> Result<(), SendError> {
        let sent_at = self.clock.now();
        let mut newest_first = self.newest_first.lock().unwrap_or_else(PoisonError::into_inner);
        if newest_first.iter().all(|sent| sent.message.id != message.id) {
            newest_first.push_front(SentMessage { message, sent_at });
            newest_first.truncate(MAX_MESSAGES);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared::{address::Address, id::Id};

    use super::*;
    use crate::{clock::TestClock, notify::Purpose};

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);

    fn message(number: usize) -> Message {
        Message {
            id: Id::from_bytes(u128::try_from(number).unwrap().to_be_bytes()),
            to: Address::Email(format!("user{number}@example.com")),
            purpose: Purpose::SessionEnded,
            subject: "Your session was ended".to_owned(),
            text: "…".to_owned(),
            code: None,
            link: None,
            token: None,
        }
    }

    #[tokio::test]
    async fn message_sent_twice_is_there_once_and_the_newest_is_first() {
        let clock = Arc::new(TestClock::at(START));
        let mailbox = Mailbox::new(Arc::clone(&clock) as Arc<dyn Clock>);
        for number in [1, 2, 1] {
            mailbox.send(message(number)).await.unwrap();
            clock.advance(1);
        }
        let sent =
            |number, after_ms| SentMessage { message: message(number), sent_at: START.plus_millis(after_ms) };
        assert_eq!(mailbox.messages(), [sent(2, 1), sent(1, 0)]);
    }

    #[tokio::test]
    async fn newest_messages_are_kept() {
        let mailbox = Mailbox::new(Arc::new(TestClock::at(START)));
        for number in 0..=MAX_MESSAGES {
            mailbox.send(message(number)).await.unwrap();
        }
        let kept = mailbox.messages();
        let ends = (kept[0].message.clone(), kept[MAX_MESSAGES - 1].message.clone());
        assert_eq!((kept.len(), ends), (MAX_MESSAGES, (message(MAX_MESSAGES), message(1))));
    }
}
