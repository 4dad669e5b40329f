//! One test's environment: a folder, a scripted provider, an origin and a Worker of its own.
//!
//! - [`TestEnv`], [`Setup`]: all of it together
//! - `part`: a child process that can be killed and started again, with its log
//! - [`Port`]: an address that stays the test's own while nobody listens there
//! - `origin`, `workerd`, `runtime`: how each part is started
//! - [`Baseline`]: references that the benchmark measures beside EdgeChat's Worker

mod baseline;
mod origin;
pub(crate) mod part;
pub(crate) mod port;
mod runtime;
mod workerd;

use std::collections::BTreeMap;

use shared::{api::chat::SentMessage, id::Id};
use tempfile::TempDir;

use crate::{
    client::{Client, Phone},
    provider::ScriptedGemini,
    servers::database::{Bases, Lease},
    wait::{BOUND, until},
};
pub use baseline::{Baseline, BaselineTurn, DurableSetup};
pub use part::Log;
use part::Part;
pub use port::Port;
use runtime::Measured;
pub use runtime::Watch;

/// The secret every test's origin signs its tokens with.
pub const JWT_SECRET: &str = "5d1fa0c67b3e98420f6b7ad1c3e5289e04b7f6a1d2c83e95";
/// The key between every test's Worker and origin.
pub const EDGE_KEY: &str = "e07c4b9d81a65f320c9e7b48d15a6f03b2e8c7d94a10f356";
/// The API key the Worker has for the provider.
pub const GEMINI_API_KEY: &str = "the-gemini-key-of-the-tests";
/// The web origin that may read answers.
pub const WEB_ORIGIN: &str = "https://app.example.com";

/// The variable that selects the origin's stores in all tests: `embedded`, also when unset, or `production`.
const STORES: &str = "EDGECHAT_TEST_STORES";

/// The variables of an environment, by name.
type Vars = BTreeMap<&'static str, String>;

/// The settings of one environment.
#[derive(Debug)]
pub struct Setup {
    vars: Vars,
    measured: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let vars = [
            // The longest there is, for the slowest machine.
            ("ACCESS_TOKEN_EXPIRE_MINUTES", "1440"),
            ("BASIC_TIER_DAILY_LIMIT", "10000"),
            ("CORS_ORIGINS", WEB_ORIGIN),
            ("EDGECHAT_ENV", "development"),
            ("EDGE_KEYS", EDGE_KEY),
            ("GEMINI_API_KEY", GEMINI_API_KEY),
            ("JWT_SECRET", JWT_SECRET),
            ("RATE_LIMIT_REQUESTS", "100000"),
            ("RATE_LIMIT_WINDOW_SECONDS", "60"),
            ("SIGN_UP_DAILY_LIMIT", "0"),
        ];
        let vars = vars.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Self { vars, measured: false }
    }
}

impl Setup {
    /// Sets a variable for both the origin and the Worker. With `ORIGIN_URL` the test brings an origin of its own, and
    /// the environment has none.
    #[must_use]
    pub fn var(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.vars.insert(name, value.into());
        self
    }

    /// Sets several variables, such as those of stores that the test has chosen itself.
    #[must_use]
    pub fn vars(mut self, vars: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.vars.extend(vars);
        self
    }

    /// Adds what a measurement needs: `client_ip_proxy.js` at an address of its own, and
    /// [`TestEnv::restart_workerd_watched`].
    #[must_use]
    pub fn measured(mut self) -> Self {
        self.measured = true;
        self
    }

    /// Starts the environment.
    ///
    /// # Panics
    /// Panics when the environment does not name the built parts, or one does not come up.
    pub async fn start(self) -> TestEnv {
        let Self { mut vars, measured } = self;
        let lease = if !vars.contains_key("DATABASE_URL") && on_production_stores() {
            let (stores, lease) = Bases::of_the_run().leased().await;
            vars.extend(stores);
            Some(lease)
        } else {
            None
        };
        let dir = tempfile::Builder::new().prefix("edgechat-test-").tempdir().expect("a temporary folder");
        let provider = ScriptedGemini::start().await;
        vars.entry("GEMINI_API_BASE").or_insert_with(|| provider.base());
        let edge_port = Port::reserve();
        vars.entry("EDGE_URL").or_insert_with(|| edge_port.url());
        let origin = (!vars.contains_key("ORIGIN_URL")).then(|| {
            let port = Port::reserve();
            vars.insert("ORIGIN_URL", port.url());
            origin::part(dir.path(), port, &vars)
        });
        let measured = measured.then(Measured::reserve);
        let edge = workerd::part(dir.path(), edge_port, &vars, measured.as_ref());
        let mut env = TestEnv { origin, edge, measured, provider, dir, _lease: lease };
        match &mut env.origin {
            Some(origin) => drop(tokio::join!(origin.start(), env.edge.start())),
            None => env.edge.start().await,
        }
        env
    }
}

fn on_production_stores() -> bool {
    match std::env::var(STORES).as_deref() {
        Ok("production") => true,
        Ok("embedded") | Err(_) => false,
        Ok(other) => panic!("{STORES} is {other:?}, and should be embedded or production"),
    }
}

/// Everything EdgeChat is made of, for one test. It ends with the value; when the test fails, the ends of the logs are
/// part of its output.
#[derive(Debug)]
pub struct TestEnv {
    origin: Option<Part>,
    edge: Part,
    measured: Option<Measured>,
    /// The model provider the Worker calls.
    pub provider: ScriptedGemini,
    // Last, so that nobody writes there any more when they are deleted.
    dir: TempDir,
    _lease: Option<Lease>,
}

impl TestEnv {
    /// An environment with the defaults of the tests: development, generous limits.
    pub async fn start() -> Self {
        Setup::default().start().await
    }

    /// An environment with other variables.
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// Somebody who has not signed in, at the Worker.
    pub fn client(&self) -> Client {
        Client::new(self.edge.url())
    }

    /// Somebody who goes past the Worker, straight to the origin.
    pub fn client_of_origin(&self) -> Client {
        Client::new(self.origin_part().url())
    }

    /// A newly registered user at the Worker.
    pub async fn phone(&self) -> Phone {
        self.client().register().await
    }

    /// Ends the origin as `kill -9` does.
    pub async fn kill_origin(&mut self) {
        self.origin_part_mut().kill().await;
    }

    /// Ends the origin, and lets the phone say something that the origin therefore does not have yet.
    ///
    /// # Panics
    /// Panics when it has it all the same.
    pub async fn say_without_origin(&mut self, phone: &Phone, conversation: Id, text: &str) -> SentMessage {
        self.kill_origin().await;
        let sent = phone.send_message(conversation, text).await;
        assert!(!sent.persisted, "{sent:?}");
        sent
    }

    /// Starts the origin again, on the same address and the same data.
    pub async fn start_origin(&mut self) {
        self.origin_part_mut().start().await;
    }

    /// Starts the origin again with another value of a variable, from now on.
    pub async fn start_origin_with(&mut self, name: &str, value: &str) {
        self.origin_part_mut().set_var(name, value);
        self.start_origin().await;
    }

    /// Runs a command of the origin's program, as an operator does beside the origin that serves, and returns what it
    /// printed.
    ///
    /// # Panics
    /// Panics when it fails.
    pub async fn edgechat(&self, args: &[&str]) -> String {
        self.origin_part().run_beside(args).await
    }

    /// Keeps the origin from running without ending it: connections are accepted and nobody answers.
    pub async fn suspend_origin(&self) {
        self.origin_part().suspend().await;
    }

    /// Lets a suspended origin run on.
    pub fn resume_origin(&self) {
        self.origin_part().resume();
    }

    /// Ends the Worker's runtime as `kill -9` does.
    pub async fn kill_workerd(&mut self) {
        self.edge.kill().await;
    }

    /// Starts the Worker's runtime again, on the same address and the same data.
    pub async fn start_workerd(&mut self) {
        self.edge.start().await;
    }

    /// Ends the Worker's runtime and starts it again, watched; for an environment that is [`Setup::measured`]. What the user
    /// objects had stored is gone: their alarms would be counted with what is measured.
    pub async fn restart_workerd_watched(&mut self, by: &Watch) {
        self.edge.kill().await;
        workerd::forget_objects(self.dir.path());
        runtime::watch(&mut self.edge, by);
        self.edge.start().await;
    }

    /// The base URL of `client_ip_proxy.js` before the Worker.
    ///
    /// # Panics
    /// Panics when the environment is not [`Setup::measured`].
    pub fn client_ip_proxy_url(&self) -> String {
        self.measured.as_ref().expect("a measured environment").client_ip_proxy.url()
    }

    /// The base URL of what wraps the user object, while the runtime is watched by [`Watch::Isolates`] or [`Watch::Probe`].
    ///
    /// # Panics
    /// Panics when the environment is not [`Setup::measured`].
    pub fn wrapper_url(&self) -> String {
        self.measured.as_ref().expect("a measured environment").wrapper.url()
    }

    /// The id of the origin's process.
    pub fn origin_pid(&self) -> u32 {
        self.origin_part().pid()
    }

    /// The id of the Worker runtime's process.
    pub fn workerd_pid(&self) -> u32 {
        self.edge.pid()
    }

    /// Starts the Worker's runtime again without anything the user objects had stored.
    pub async fn start_workerd_without_objects(&mut self) {
        workerd::forget_objects(self.dir.path());
        self.edge.start().await;
    }

    /// Changes what the user objects have stored, by a statement of SQL in each of their databases; the Worker's runtime
    /// must not run.
    pub fn change_objects(&self, statement: &str) {
        workerd::change_objects(self.dir.path(), statement);
    }

    /// Returns the rows of a query of one column, of text, from each of the user objects' databases; the Worker's runtime must
    /// not run.
    pub fn query_objects(&self, query: &str) -> Vec<String> {
        workerd::query_objects(self.dir.path(), query)
    }

    /// Waits until the user objects have stored something that holds this text.
    ///
    /// # Panics
    /// Panics when that takes too long.
    pub async fn stored_by_objects(&self, text: &str) {
        until(BOUND, &format!("an object to store {text:?}"), || async {
            workerd::objects_hold(self.dir.path(), text).then_some(())
        })
        .await;
    }

    /// Returns the log of the origin, over all its starts.
    pub fn origin_log(&self) -> &Log {
        self.origin_part().log()
    }

    /// Returns the log of the Worker, over all its starts.
    pub fn edge_log(&self) -> &Log {
        self.edge.log()
    }

    fn origin_part(&self) -> &Part {
        self.origin.as_ref().expect("an environment with an origin")
    }

    fn origin_part_mut(&mut self) -> &mut Part {
        self.origin.as_mut().expect("an environment with an origin")
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for part in self.origin.iter().chain([&self.edge]) {
                part.log().print_tail();
            }
        }
    }
}
