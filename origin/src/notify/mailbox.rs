//! The mailbox of development: mails stay in this process, the newest of them, and are shown instead of delivered.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use shared::time::Timestamp;

use super::{Mail, MailError, Mailer};
use crate::clock::Clock;

/// The most mails that are kept.
const MAX_MAILS: usize = 100;

/// Mails that were sent, bounded in number.
pub struct Mailbox {
    clock: Arc<dyn Clock>,
    newest_first: Mutex<VecDeque<SentMail>>,
}

/// A mail in the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMail {
    /// The mail.
    pub mail: Mail,
    /// The time it was first sent.
    pub sent_at: Timestamp,
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, newest_first: Mutex::default() }
    }

    /// Returns the mails, newest first.
    pub fn mails(&self) -> Vec<SentMail> {
        self.newest_first.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[async_trait]
impl Mailer for Mailbox {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let sent_at = self.clock.now();
        let mut newest_first = self.newest_first.lock().unwrap_or_else(PoisonError::into_inner);
        if newest_first.iter().all(|sent| sent.mail.id != mail.id) {
            newest_first.push_front(SentMail { mail, sent_at });
            newest_first.truncate(MAX_MAILS);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared::id::Id;

    use super::*;
    use crate::{clock::TestClock, notify::Purpose};

    const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);

    fn mail(number: usize) -> Mail {
        Mail {
            id: Id::from_bytes(u128::try_from(number).unwrap().to_be_bytes()),
            to: format!("user{number}@example.com"),
            purpose: Purpose::SessionEnded,
            subject: "Your session was ended".to_owned(),
            text: "…".to_owned(),
        }
    }

    #[tokio::test]
    async fn mail_sent_twice_is_there_once_and_the_newest_is_first() {
        let clock = Arc::new(TestClock::at(START));
        let mailbox = Mailbox::new(Arc::clone(&clock) as Arc<dyn Clock>);
        for number in [1, 2, 1] {
            mailbox.send(mail(number)).await.unwrap();
            clock.advance(1);
        }
        let sent = |number, after_ms| SentMail { mail: mail(number), sent_at: START.plus_millis(after_ms) };
        assert_eq!(mailbox.mails(), [sent(2, 1), sent(1, 0)]);
    }

    #[tokio::test]
    async fn newest_mails_are_kept() {
        let mailbox = Mailbox::new(Arc::new(TestClock::at(START)));
        for number in 0..=MAX_MAILS {
            mailbox.send(mail(number)).await.unwrap();
        }
        let kept = mailbox.mails();
        let ends = (kept[0].mail.clone(), kept[MAX_MAILS - 1].mail.clone());
        assert_eq!((kept.len(), ends), (MAX_MAILS, (mail(MAX_MAILS), mail(1))));
    }
}
