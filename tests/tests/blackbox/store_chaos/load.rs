//! Users who register, sign in and chat without a pause and record what was acknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use edgechat_tests::{
    client::{Client, PASSWORD, Phone, Reply, content, messages_path, turn_path},
    test_env::TestEnv,
    wait::{bounded_by, until},
};
use reqwest::Method;
use serde_json::json;
use shared::{
    api::{
        account::Tokens,
        chat::{Conversation, Role, SentMessage, Turn},
    },
    id::Id,
};
use tokio::task::JoinSet;

const USERS: usize = 4;
/// The turns of a conversation, which fit on one page.
const TURNS_A_CONVERSATION: usize = 20;
/// The turns between two sign-ins of a user; another user registers at each.
const TURNS_A_SIGN_IN: usize = 3;
/// The bound of one step while a server is killed repeatedly.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Counters shared by the users and the test.
#[derive(Debug, Default)]
struct Counters {
    /// Responses that acknowledge a write.
    acknowledged: AtomicU64,
    /// Responses that report a store as unavailable.
    failed: AtomicU64,
    stop: AtomicBool,
}

/// The writes that were acknowledged to one user.
#[derive(Debug)]
struct Ledger {
    phone: Phone,
    conversations: Vec<(Id, Vec<String>)>,
    turns: Vec<Id>,
    registered: Vec<String>,
}

/// The running users.
#[derive(Debug)]
pub(super) struct Load {
    counters: Arc<Counters>,
    users: JoinSet<Ledger>,
}

impl Load {
    /// Starts the users. With `one_writer`, a user waits until the origin has stored a turn before sending the next: a store
    /// without atomic updates supports no more.
    pub(super) async fn start(env: &TestEnv, one_writer: bool) -> Self {
        let (counters, mut users) = (Arc::<Counters>::default(), JoinSet::new());
        for number in 0..USERS {
            let phone = env.phone().await;
            let user = User { number, phone, one_writer, counters: Arc::clone(&counters) };
            users.spawn(user.work());
        }
        Self { counters, users }
    }

    /// Waits for that many more responses, acknowledged or failed.
    pub(super) async fn answers(&self, more: u64) {
        let counters = &self.counters;
        let so_far = || counters.acknowledged.load(Ordering::SeqCst) + counters.failed.load(Ordering::SeqCst);
        let goal = so_far() + more;
        until(TIMEOUT, "more responses", || async { (so_far() >= goal).then_some(()) }).await;
    }

    /// Waits for that many more failed responses.
    pub(super) async fn failures(&self, more: u64) {
        let so_far = || self.counters.failed.load(Ordering::SeqCst);
        let goal = so_far() + more;
        until(TIMEOUT, "more failures", || async { (so_far() >= goal).then_some(()) }).await;
    }

    /// Stops the users and asserts that everything acknowledged is stored, and nothing twice.
    pub(super) async fn finish(mut self) -> Totals {
        self.counters.stop.store(true, Ordering::SeqCst);
        let mut totals = Totals { failed: self.counters.failed.load(Ordering::SeqCst), ..Totals::default() };
        while let Some(ledger) = bounded_by(TIMEOUT * 2, "the users to stop", self.users.join_next()).await {
            let ledger = ledger.expect("a user whose responses were as expected");
            totals.turns += ledger.turns.len();
            totals.registered += ledger.registered.len();
            ledger.compare().await;
        }
        totals
    }
}

/// The totals of a load.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) turns: usize,
    pub(super) registered: usize,
    pub(super) failed: u64,
}

struct User {
    number: usize,
    phone: Phone,
    one_writer: bool,
    counters: Arc<Counters>,
}

impl User {
    async fn work(self) -> Ledger {
        let mut ledger = Ledger {
            phone: self.phone.clone(),
            conversations: Vec::new(),
            turns: Vec::new(),
            registered: vec![
                self.phone.tokens.user.email.clone().expect("a user registered by e-mail has an address"),
            ],
        };
        for turn in 0.. {
            if self.counters.stop.load(Ordering::SeqCst) {
                break;
            }
            if turn % TURNS_A_CONVERSATION == 0 {
                ledger.conversations.push((self.converse().await, Vec::new()));
            }
            let (conversation, said) = ledger.conversations.last_mut().expect("just opened");
            let text = format!("user-{}-turn-{turn}", self.number);
            ledger.turns.push(self.send_message(*conversation, &text).await);
            self.rename(*conversation, &text).await;
            said.push(text);
            if turn % TURNS_A_SIGN_IN == 0 {
                self.sign_in(&ledger.registered[0]).await;
                let email = format!("load-{}-{turn}@example.com", self.number);
                if self.register(&email).await {
                    ledger.registered.push(email);
                }
            }
        }
        ledger
    }

    /// Opens a conversation. One whose response was lost stays empty and unused.
    async fn converse(&self) -> Id {
        until(TIMEOUT, "a conversation", || async {
            let reply =
                self.phone.client.post("/api/v1/chat/conversations").json(&json!({})).try_send().await;
            self.counted(reply.ok()?, 201).map(|reply| reply.json::<Conversation>().id)
        })
        .await
    }

    /// Sends a message, with the same key until it gets an answer.
    async fn send_message(&self, conversation: Id, text: &str) -> Id {
        let sent: SentMessage = until(TIMEOUT, "an answer", || async {
            let reply = self.phone.message(conversation, &content(text)).key(text).try_send().await.ok()?;
            let expected = if reply.status == 200 { 200 } else { 201 };
            self.counted(reply, expected).map(|reply| reply.json())
        })
        .await;
        if self.one_writer {
            self.wait_for_delivery(conversation, sent.turn_id).await;
        }
        sent.turn_id
    }

    /// Waits until the origin has a turn. Meanwhile the user reads and counts failures, so that the load continues while every
    /// user waits.
    async fn wait_for_delivery(&self, conversation: Id, turn: Id) {
        until(TIMEOUT * 2, "the turn to be delivered", || async {
            if self.phone.turn(turn).await.persisted {
                return Some(());
            }
            let path = format!("/api/v1/chat/conversations/{conversation}");
            if let Ok(reply) = self.phone.client.get(&path).try_send().await {
                self.counted(reply, 200);
            }
            None
        })
        .await;
    }

    /// Sets a conversation's title, repeated until it is acknowledged.
    async fn rename(&self, conversation: Id, title: &str) {
        let path = format!("/api/v1/chat/conversations/{conversation}");
        let body = json!({ "title": title });
        until(TIMEOUT, "a title", || async {
            let reply = self.phone.client.ask(Method::PATCH, &path).json(&body).try_send().await;
            self.counted(reply.ok()?, 200).map(|_| ())
        })
        .await;
    }

    async fn sign_in(&self, email: &str) {
        if let Ok(reply) = sign_in(&self.phone.client.anonymous(), email).await {
            self.counted(reply, 200);
        }
    }

    /// Registers a user and returns true when that was acknowledged; a lost or failed response leaves it open.
    async fn register(&self, email: &str) -> bool {
        let body = json!({ "email": email, "password": PASSWORD });
        let reply = self.phone.client.anonymous().post("/api/v1/auth/register").json(&body).try_send().await;
        reply.is_ok_and(|reply| self.counted(reply, 201).is_some())
    }

    /// Returns the reply when it has the expected status; any other must report a store as unavailable.
    fn counted(&self, reply: Reply, expected: u16) -> Option<Reply> {
        if reply.status == expected {
            self.counters.acknowledged.fetch_add(1, Ordering::SeqCst);
            return Some(reply);
        }
        assert!(reply.status == 503 || reply.status == 504, "{reply:?}");
        self.counters.failed.fetch_add(1, Ordering::SeqCst);
        None
    }
}

impl Ledger {
    /// Compares the ledger with the origin's data.
    async fn compare(self) {
        let Self { phone, conversations, turns, registered } = self;
        for turn in &turns {
            phone.persisted(*turn).await;
        }
        for (conversation, said) in &conversations {
            let path = format!("/api/v1/chat/conversations/{conversation}");
            let kept: Conversation = phone.client.get(&path).send().await.expect_status(200).json();
            assert_eq!((kept.title.as_ref(), kept.message_count), (said.last(), 2 * said.len() as u64));
            let messages = phone.messages(*conversation).await;
            let asked: Vec<_> = messages.iter().filter(|message| message.role == Role::User).collect();
            let texts: Vec<_> = asked.iter().map(|message| &message.content).collect();
            assert_eq!(texts, said.iter().collect::<Vec<_>>());
            let seqs: Vec<_> = messages.iter().map(|message| message.seq).collect();
            assert_eq!(seqs, (1..=2 * said.len() as u64).collect::<Vec<_>>());
        }
        let totals = phone.usage().await.totals;
        assert_eq!((totals.requests, totals.messages), (turns.len() as u64, turns.len() as u64));
        for email in &registered {
            let reply = sign_in(&phone.client.anonymous(), email).await.expect("an answer");
            assert_eq!(reply.status, 200, "{email}: {reply:?}");
        }
    }
}

async fn sign_in(client: &Client, email: &str) -> Result<Reply, reqwest::Error> {
    let body = json!({ "email": email, "password": PASSWORD });
    client.post("/api/v1/auth/login").json(&body).try_send().await
}

/// Asserts that a new user can register, sign in, open a conversation and have a turn stored at the origin, each step within
/// this time.
pub(super) async fn serves(env: &TestEnv, email: &str, limit: Duration) {
    bounded_by(limit, "everything to work again", async {
        let client = env.client();
        let body = json!({ "email": email, "password": PASSWORD });
        until(limit, "a registration", || async {
            let reply = client.post("/api/v1/auth/register").json(&body).try_send().await.ok()?;
            // The address is taken when an earlier attempt succeeded and its response was lost.
            [201, 400].contains(&reply.status).then_some(())
        })
        .await;
        let tokens: Tokens = until(limit, "a sign-in", || async {
            let reply = sign_in(&client, email).await.ok()?;
            (reply.status == 200).then(|| reply.json())
        })
        .await;
        let client = client.with_token(tokens.access_token);
        let opened: Conversation = until(limit, "a conversation", || async {
            let reply = client.post("/api/v1/chat/conversations").json(&json!({})).try_send().await.ok()?;
            (reply.status == 201).then(|| reply.json())
        })
        .await;
        let sent: SentMessage = until(limit, "an answer", || async {
            let ask = client.post(&messages_path(opened.id)).json(&content("Are you there?")).key(email);
            let reply = ask.try_send().await.ok()?;
            [200, 201].contains(&reply.status).then(|| reply.json())
        })
        .await;
        until(limit, "the turn at the origin", || async {
            let reply = client.get(&turn_path(sent.turn_id)).try_send().await.ok()?;
            (reply.status == 200 && reply.json::<Turn>().persisted).then_some(())
        })
        .await;
    })
    .await;
}
