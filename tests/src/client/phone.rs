//! A signed-in user and the calls of the main job.

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    api::{
        account::Tokens,
        chat::{Conversation, Message, SentMessage, Turn},
        page::Page,
        usage::UsageReport,
    },
    id::Id,
};

use super::{Ask, Client, Event, EventStream, PASSWORD};
use crate::wait::{BOUND, until};

/// A user with an access token.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Sends requests with the token.
    pub client: Client,
    /// The tokens of the registration.
    pub tokens: Tokens,
}

/// The body of a message that says this.
pub fn content(text: &str) -> Value {
    json!({ "content": text })
}

impl Phone {
    /// A user who got these tokens.
    pub fn new(client: Client, tokens: Tokens) -> Self {
        Self { client, tokens }
    }

    /// Signs in again: another session of the same user.
    ///
    /// # Panics
    /// Panics when that fails.
    pub async fn sign_in_again(&self) -> Self {
        self.sign_in_on("", &[]).await
    }

    /// Signs the same user in on a device of this name, which sends these headers.
    ///
    /// # Panics
    /// Panics when that fails.
    pub async fn sign_in_on(&self, device_name: &str, headers: &[(&str, &str)]) -> Self {
        let body = json!({ "email": self.email(), "password": PASSWORD, "device_name": device_name });
        let ask = self.client.anonymous().post("/api/v1/auth/login");
        let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        let tokens: Tokens = ask.json(&body).send().await.expect_status(200).json();
        Self::new(self.client.with_token(&tokens.access_token), tokens)
    }

    /// The user's e-mail address.
    ///
    /// # Panics
    /// Panics when there is none.
    pub fn email(&self) -> &str {
        self.tokens.user.email.as_deref().expect("a user who registered by e-mail")
    }

    /// Opens a conversation.
    pub async fn conversation(&self) -> Id {
        let reply = self.client.post("/api/v1/chat/conversations").json(&json!({})).send().await;
        reply.expect_status(201).json::<Conversation>().id
    }

    /// The request that sends a message.
    pub fn message(&self, conversation: Id, body: &Value) -> Ask {
        self.client.post(&messages_path(conversation)).json(body)
    }

    /// Sends a message and waits for the whole answer.
    pub async fn send_message(&self, conversation: Id, text: &str) -> SentMessage {
        self.message(conversation, &content(text)).send().await.expect_status(201).json()
    }

    /// As [`Self::send_message`], and waits until the origin has both messages.
    ///
    /// # Panics
    /// Panics when that takes too long.
    pub async fn send_and_persist(&self, conversation: Id, text: &str) -> SentMessage {
        let sent = self.send_message(conversation, text).await;
        self.persisted(sent.turn_id).await;
        sent
    }

    /// Sends a message and reads the answer as a stream.
    pub async fn stream(&self, conversation: Id, text: &str) -> EventStream {
        self.message(conversation, &content(text)).stream().await
    }

    /// As [`Self::stream`], to its end, and waits until the origin has both messages.
    ///
    /// # Panics
    /// Panics when that takes too long.
    pub async fn stream_and_persist(&self, conversation: Id, text: &str) -> Vec<Event> {
        let events = self.stream(conversation, text).await.rest().await;
        self.persisted(events[0].turn_id()).await;
        events
    }

    /// The messages of a conversation, oldest first, as the origin has them.
    ///
    /// # Panics
    /// Panics when there are more of them than any test makes.
    pub async fn messages(&self, conversation: Id) -> Vec<Message> {
        const MAX_PAGES: usize = 100;
        let first = format!("{}?limit=100", messages_path(conversation));
        let (mut path, mut messages) = (first.clone(), Vec::new());
        for _ in 0..MAX_PAGES {
            let page: Page<Message> = self.client.get(&path).send().await.expect_status(200).json();
            messages.extend(page.items);
            let Some(cursor) = page.next_cursor else { return messages };
            path = format!("{first}&cursor={cursor}");
        }
        panic!("{conversation} has more than {MAX_PAGES} pages of messages")
    }

    /// The state of a turn.
    pub async fn turn(&self, turn: Id) -> Turn {
        self.client.get(&turn_path(turn)).send().await.expect_status(200).json()
    }

    /// Waits until the turn is as it should be.
    ///
    /// # Panics
    /// Panics when that takes too long.
    pub async fn turn_when(&self, turn: Id, what: &str, is_so: impl Fn(&Turn) -> bool) -> Turn {
        self.turn_within(BOUND, turn, what, is_so).await
    }

    /// Waits until the origin has the turn, for as long as the outbox may take to try again.
    ///
    /// # Panics
    /// Panics when that takes too long.
    pub async fn persisted(&self, turn: Id) -> Turn {
        const RETRIES: Duration = Duration::from_secs(90);
        self.turn_within(RETRIES, turn, "the turn to be persisted", |turn| turn.persisted).await
    }

    async fn turn_within(
        &self,
        bound: Duration,
        turn: Id,
        what: &str,
        is_so: impl Fn(&Turn) -> bool,
    ) -> Turn {
        until(bound, what, || async { Some(self.turn(turn).await).filter(&is_so) }).await
    }

    /// The request for a turn's events after the one with this id.
    pub fn events_after(&self, turn: Id, after: u64) -> Ask {
        self.client.get(&format!("{}/events?after={after}", turn_path(turn)))
    }

    /// The request for all of a turn's events.
    pub fn events(&self, turn: Id) -> Ask {
        self.client.get(&format!("{}/events", turn_path(turn)))
    }

    /// The request that stops a turn.
    pub fn cancel(&self, turn: Id) -> Ask {
        self.client.post(&format!("{}/cancel", turn_path(turn)))
    }

    /// Returns the usage of the user.
    pub async fn usage(&self) -> UsageReport {
        self.client.get("/api/v1/usage/me").send().await.expect_status(200).json()
    }
}

/// The path of a conversation's messages.
pub fn messages_path(conversation: Id) -> String {
    format!("/api/v1/chat/conversations/{conversation}/messages")
}

/// The path of a turn.
pub fn turn_path(turn: Id) -> String {
    format!("/api/v1/chat/turns/{turn}")
}
