//! An origin filled with users, conversations and messages.

use shared::{auth::edge::EdgeKeys, id::Id};

use super::delivery::Deliveries;
use crate::{
    bench::{load::Site, process::Process},
    client::Phone,
    test_env::{EDGE_KEY, TestEnv},
};

/// The number of users, one per connection.
pub(super) const USERS: usize = 16;
/// The conversations of a user: more than a page, so that the list has a second one.
const CONVERSATIONS: usize = 30;
/// Turns in the conversation whose first page is read.
const TURNS: u64 = 50;
/// More than any machine serves per second, so that no measurement is limited.
const NO_LIMIT: &str = "1000000";

/// A user with conversations.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) phone: Phone,
    /// A conversation with a hundred messages.
    pub(super) read: Id,
    /// The conversation that turns are delivered to.
    pub(super) written: Id,
}

/// The running origin.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) env: TestEnv,
    pub(super) people: Vec<Person>,
    pub(super) keys: EdgeKeys,
}

impl Stage {
    /// Starts an origin on these stores and fills them.
    ///
    /// # Panics
    /// Panics when it does not start or refuses something.
    pub(super) async fn set(vars: Vec<(&'static str, String)>) -> Self {
        let env = TestEnv::setup()
            .vars(vars)
            .var("RATE_LIMIT_REQUESTS", NO_LIMIT)
            .var("RATE_LIMIT_WINDOW_SECONDS", "1")
            .var("BASIC_TIER_DAILY_LIMIT", "0")
            .start()
            .await;
        let mut stage =
            Self { env, people: Vec::new(), keys: EdgeKeys::parse(EDGE_KEY).expect("a long key") };
        for _ in 0..USERS {
            let person = stage.person().await;
            stage.people.push(person);
        }
        stage
    }

    async fn person(&self) -> Person {
        let phone = self.env.client_of_origin().register().await;
        let mut conversations = Vec::with_capacity(CONVERSATIONS);
        for _ in 0..CONVERSATIONS {
            conversations.push(phone.conversation().await);
        }
        let [read, written, ..] = conversations[..] else { panic!("at least two conversations") };
        Deliveries::to(self.site(), self.keys.clone(), &phone, read).send(TURNS).await;
        Person { phone, read, written }
    }

    pub(super) fn site(&self) -> Site {
        Site::new("origin", &self.env.client_of_origin().url(""))
    }

    pub(super) fn process(&self) -> Process {
        Process(self.env.origin_pid())
    }
}
