//! The parts of a measurement: origin, Worker, both baselines, provider and the users.

use bytes::Bytes;
use hyper::Method;
use serde_json::json;
use shared::{id::Id, provider::gemini};

use super::{
    cases::PACED,
    load::{Lane, Site},
    process::Process,
    provider::FastProvider,
    saturation::Watched,
};
use crate::{
    client::{Phone, messages_path},
    test_env::{Baseline, DurableSetup, EDGE_KEY, GEMINI_API_KEY, TestEnv, Watch},
};

/// The number of users of the largest case.
pub(super) const USERS: usize = 64;
/// More than any machine serves per second, so that no measurement is limited.
const NO_LIMIT: &str = "1000000";
/// The model behind EdgeChat's default alias.
const MODEL: &str = "gemini-2.5-flash";
/// The question of every turn.
pub(super) const QUESTION: &str =
    "What is the weather like on the other side of the lake, and will it stay so until Sunday?";
const JSON: (&str, &str) = ("content-type", "application/json");
const EVENTS: (&str, &str) = ("accept", "text/event-stream");

/// The site that runs a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The durable baseline.
    Baseline,
    /// EdgeChat's Worker.
    Worker,
    /// EdgeChat's Worker behind `client_ip_proxy.js`.
    Gate,
}

impl Side {
    /// Its name in a table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "durable baseline",
            Self::Worker => "Worker",
            Self::Gate => "Worker behind client_ip_proxy.js",
        }
    }
}

/// The running parts.
#[derive(Debug)]
pub(super) struct Stage {
    /// Origin and Worker.
    pub(super) env: TestEnv,
    /// The proxy baseline.
    pub(super) proxy: Baseline,
    /// The durable baseline.
    pub(super) durable: Baseline,
    /// The provider of all sides.
    pub(super) provider: FastProvider,
    /// Registered users.
    pub(super) users: Vec<Phone>,
    /// The least milliseconds between two deltas.
    pub(super) flush_ms: u32,
}

impl Stage {
    /// Starts the parts and registers so many users. A delta is sent at most every `flush_ms`.
    ///
    /// # Panics
    /// Panics when a part does not start.
    pub(super) async fn set(user_count: usize, flush_ms: u32) -> Self {
        let provider = FastProvider::start(PACED).expect("a port and a thread for the provider");
        let env = TestEnv::setup()
            .var("GEMINI_API_BASE", provider.base())
            .var("RATE_LIMIT_REQUESTS", NO_LIMIT)
            .var("RATE_LIMIT_WINDOW_SECONDS", "1")
            .var("BASIC_TIER_DAILY_LIMIT", "0")
            .var("STREAM_FLUSH_MS", flush_ms.to_string())
            .measured()
            .start()
            .await;
        let origin = env.client_of_origin().url("");
        let proxy = Baseline::proxy(&origin).await;
        let path = gemini::path(MODEL, true).expect("the name of a model");
        let durable = Baseline::durable(DurableSetup {
            origin,
            model_url: format!("{}{path}", provider.base()),
            api_key: GEMINI_API_KEY.to_owned(),
            edge_key: EDGE_KEY.to_owned(),
            flush_ms,
        })
        .await;
        let mut users = Vec::with_capacity(user_count);
        for _ in 0..user_count {
            users.push(env.client_of_origin().register().await);
        }
        Self { env, proxy, durable, provider, users, flush_ms }
    }

    /// The origin, accessed directly.
    pub(super) fn origin(&self) -> Site {
        Site::new("origin", &self.env.client_of_origin().url(""))
    }

    /// The proxy baseline.
    pub(super) fn proxy(&self) -> Site {
        Site::new("proxy baseline", &self.proxy.url())
    }

    /// Returns the site of a side.
    pub(super) fn site(&self, side: Side) -> Site {
        let url = match side {
            Side::Baseline => self.durable.url(),
            Side::Worker => self.env.client().url(""),
            Side::Gate => self.env.client_ip_proxy_url(),
        };
        Site::new(side.name(), &url)
    }

    /// The proxy baseline's process and the origin's.
    pub(super) fn watched_proxy(&self) -> Watched {
        self.watched(self.proxy.pid())
    }

    /// The process of a side's runtime and the origin's.
    pub(super) fn watched_side(&self, side: Side) -> Watched {
        self.watched(self.process(side).0)
    }

    fn watched(&self, pid: u32) -> Watched {
        Watched { runtime: Process(pid), origin: Process(self.env.origin_pid()) }
    }

    /// The process of a side's runtime.
    pub(super) fn process(&self, side: Side) -> Process {
        Process(match side {
            Side::Baseline => self.durable.pid(),
            Side::Worker | Side::Gate => self.env.workerd_pid(),
        })
    }

    /// Ends a side's runtime and starts it again, watched.
    pub(super) async fn restart_watched(&mut self, side: Side, by: &Watch) {
        match side {
            Side::Baseline => self.durable.restart_watched(by).await,
            Side::Worker | Side::Gate => self.env.restart_workerd_watched(by).await,
        }
    }

    /// Returns the base URL of a side's counter of rows.
    pub(super) fn wrapper_url(&self, side: Side) -> String {
        match side {
            Side::Baseline => self.durable.wrapper_url(),
            Side::Worker | Side::Gate => self.env.wrapper_url(),
        }
    }

    /// Opens a conversation of a user, at the origin.
    pub(super) async fn conversation(&self, user: &Phone) -> Id {
        let direct = Phone {
            client: self.env.client_of_origin().with_token(&user.tokens.access_token),
            tokens: user.tokens.clone(),
        };
        direct.conversation().await
    }

    /// Returns a message of each of the first users, each in a new conversation; a side streams the answer, and the origin has
    /// it when the stream ends.
    pub(super) async fn messages(&self, side: Side, users: usize) -> Vec<Lane> {
        let mut lanes = Vec::with_capacity(users);
        for user in self.users.iter().take(users) {
            lanes.push(self.message(side, user, self.conversation(user).await));
        }
        lanes
    }

    /// A message of this user to a conversation.
    pub(super) fn message(&self, side: Side, user: &Phone, conversation: Id) -> Lane {
        let (authorization, user_id) = (bearer(user), user.tokens.user.id.to_string());
        let mut headers = vec![JSON, EVENTS, ("authorization", authorization.as_str())];
        if side == Side::Baseline {
            // The baseline verifies no token and reads the user from this header.
            headers.push(("x-user-id", &user_id));
        }
        let body = json!({ "content": QUESTION }).to_string();
        let path = messages_path(conversation);
        let template = self.site(side).request(Method::POST, &path, &headers, body.into());
        Lane::keyed(template, conversation.to_string(), is_turn)
    }
}

/// The forwarded request: a user's profile.
pub(super) fn who_am_i(site: &Site, user: &Phone) -> Lane {
    let authorization = bearer(user);
    let headers = [("accept", "application/json"), ("authorization", &authorization)];
    let template = site.request(Method::GET, "/api/v1/auth/me", &headers, Bytes::new());
    Lane::same(template, |body| String::from_utf8_lossy(body).contains("\"email\""))
}

fn bearer(user: &Phone) -> String {
    format!("Bearer {}", user.tokens.access_token)
}

/// Returns true for the events of a turn that completed and that the origin has.
fn is_turn(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.split("event: turn.completed").nth(1).is_some_and(|end| end.contains("\"persisted\":true"))
}
