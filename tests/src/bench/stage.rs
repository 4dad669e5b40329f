//! All the parts a measurement needs: origin, Worker, floor, provider and the users.

use bytes::Bytes;
use hyper::Method;
use serde_json::json;
use shared::provider::gemini;

use super::{
    load::{Lane, Site, Template},
    process::Process,
    provider::FastProvider,
};
use crate::{
    client::{Phone, messages_path},
    world::{Floor, GEMINI_API_KEY, World},
};

/// As many users as the largest case has.
pub(super) const USERS: usize = 64;
/// More than any machine answers in a second: no limit is what a measurement meets.
const NO_LIMIT: &str = "1000000";
const MODEL: &str = "gemini-2.5-flash";
const QUESTION: &str =
    "What is the weather like on the other side of the lake, and will it stay so until Sunday?";
const JSON: (&str, &str) = ("content-type", "application/json");
const EVENTS: (&str, &str) = ("accept", "text/event-stream");

/// The running parts.
#[derive(Debug)]
pub(super) struct Stage {
    /// Origin and Worker.
    pub(super) world: World,
    /// The Worker that only proxies.
    pub(super) floor: Floor,
    /// Answers both.
    pub(super) provider: FastProvider,
    /// Registered users.
    pub(super) users: Vec<Phone>,
}

impl Stage {
    /// Starts the parts and registers the users.
    ///
    /// # Panics
    /// When a part does not come up.
    pub(super) async fn set() -> Self {
        let provider = FastProvider::start().expect("a port and a thread for the provider");
        let world = World::setup()
            .var("GEMINI_API_BASE", provider.base())
            .var("RATE_LIMIT_REQUESTS", NO_LIMIT)
            .var("RATE_LIMIT_WINDOW_SECONDS", "1")
            .var("BASIC_TIER_DAILY_LIMIT", "0")
            .start()
            .await;
        let floor = Floor::start(&world.client_of_origin().url(""), &provider.base()).await;
        let mut users = Vec::with_capacity(USERS);
        for _ in 0..USERS {
            users.push(world.client_of_origin().register().await);
        }
        Self { world, floor, provider, users }
    }

    /// The origin, without anything in front of it.
    pub(super) fn origin(&self) -> Site {
        Site::new("origin", &self.world.client_of_origin().url(""))
    }

    /// The floor.
    pub(super) fn floor(&self) -> Site {
        Site::new("floor", &self.floor.url())
    }

    /// The Worker.
    pub(super) fn worker(&self) -> Site {
        Site::new("Worker", &self.world.client().url(""))
    }

    /// The floor's process.
    pub(super) fn floor_process(&self) -> Process {
        Process(self.floor.pid())
    }

    /// The Worker's process.
    pub(super) fn worker_process(&self) -> Process {
        Process(self.world.workerd_pid())
    }

    /// A message of every one of these users, each in a conversation that is new; the Worker streams the answer and the
    /// origin has it when the stream ends.
    pub(super) async fn messages(&self, users: usize) -> Vec<Lane> {
        let site = self.worker();
        let mut lanes = Vec::with_capacity(users);
        for user in self.users.iter().take(users) {
            let direct = Phone {
                client: self.world.client_of_origin().with_token(&user.tokens.access_token),
                tokens: user.tokens.clone(),
            };
            let conversation = direct.conversation().await;
            let path = messages_path(conversation);
            let authorization = bearer(user);
            let headers = [JSON, EVENTS, ("authorization", &authorization)];
            let body = json!({ "content": QUESTION }).to_string();
            let template = site.request(Method::POST, &path, &headers, body.into());
            lanes.push(Lane::keyed(template, conversation.to_string(), is_turn));
        }
        lanes
    }

    /// The same question put to the provider through the floor.
    pub(super) fn calls(&self, users: usize) -> Vec<Lane> {
        let template = self.call();
        vec![Lane::same(template, is_answer); users]
    }

    fn call(&self) -> Template {
        let path = gemini::path(MODEL, true).expect("the name of a model");
        let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": QUESTION }] }] }).to_string();
        let headers = [JSON, EVENTS, (gemini::API_KEY_HEADER, GEMINI_API_KEY)];
        self.floor().request(Method::POST, &path, &headers, body.into())
    }
}

/// What passes through: a user asks who they are.
pub(super) fn who_am_i(site: &Site, user: &Phone) -> Lane {
    let authorization = bearer(user);
    let headers = [("accept", "application/json"), ("authorization", &authorization)];
    let template = site.request(Method::GET, "/api/v1/auth/me", &headers, Bytes::new());
    Lane::same(template, |body| holds(body, "\"email\""))
}

fn bearer(user: &Phone) -> String {
    format!("Bearer {}", user.tokens.access_token)
}

/// A turn that was answered whole, and that the origin has.
fn is_turn(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.split("event: turn.completed").nth(1).is_some_and(|end| end.contains("\"persisted\":true"))
}

/// The whole answer of the provider.
fn is_answer(body: &[u8]) -> bool {
    holds(body, "\"finishReason\"")
}

fn holds(body: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(body).contains(text)
}
