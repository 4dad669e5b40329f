//! The soak behind `cargo xtask soak`: many phones on bad networks, servers that are killed, and a check of every promise.
//!
//! - [`Options`], [`run`]: a run on the stores that the environment names
//! - `plan`, `rng`: the plan of each turn, which follows from the seed
//! - `model`: the scripted provider, which records its prompts
//! - `wire`, `reader`, `turn`, `phone`: requests, a reader's rules, one message, one user
//! - `faults`: the processes that are killed, and the times
//! - `history`, `audit`: the checks of the prompts, of the origin's data and of later reads
//! - `report`: the promises and the table
//!
//! A violation of a promise is recorded and the run continues; only a part that does not start ends it.

mod audit;
mod faults;
mod history;
mod model;
mod phone;
mod plan;
mod reader;
mod report;
mod rng;
mod turn;
mod wire;

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use self::{faults::Death, model::ModelLog, phone::Talk, report::Findings, wire::Wire};
use crate::test_env::TestEnv;
pub use report::Report;

/// The conversations of one user at once.
const LANES: u32 = 2;
/// The interval of progress messages.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The number of messages.
    pub turns: u32,
    /// The number of kills of the origin, workerd or both.
    pub kills: u32,
    /// The number of users, each with two conversations at once.
    pub users: u32,
    /// The seed of the run's plan.
    pub seed: u64,
}

/// The state shared by all users of a run.
#[derive(Debug)]
struct Run {
    seed: u64,
    findings: Findings,
    model: Arc<ModelLog>,
    over: AtomicU64,
    deaths: Mutex<Vec<Death>>,
}

impl Run {
    fn turn_is_over(&self) {
        self.over.fetch_add(1, Ordering::Relaxed);
        report::count(&self.findings.counts.turns);
    }

    fn turns_over(&self) -> u64 {
        self.over.load(Ordering::Relaxed)
    }

    fn workerd_dies(&self) {
        self.deaths().push(Death { from: Instant::now(), to: None });
    }

    fn workerd_lives(&self) {
        if let Some(death) = self.deaths().last_mut() {
            death.to = Some(Instant::now());
        }
    }

    /// Returns true when workerd was dead at any time between these two.
    fn workerd_died_between(&self, from: Instant, to: Instant) -> bool {
        self.deaths().iter().any(|death| death.from <= to && death.to.is_none_or(|at| at >= from))
    }

    fn workerd_died_since(&self, from: Instant) -> bool {
        self.workerd_died_between(from, Instant::now())
    }

    fn deaths(&self) -> MutexGuard<'_, Vec<Death>> {
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One user with all conversations.
struct Person {
    wire: Wire,
    talks: Vec<Talk>,
}

/// Runs the soak on the stores that the environment names, and returns the report.
///
/// # Panics
/// Panics when a part does not come up.
pub async fn run(stores: &str, options: Options) -> Report {
    let Options { turns, kills, users, seed } = options;
    progress(&format!("{turns} turns, {kills} kills, {users} users, {stores} stores, seed {seed}"));
    let start = Instant::now();
    let mut env = TestEnv::setup()
        .var("BASIC_TIER_DAILY_LIMIT", "0")
        .var("RATE_LIMIT_REQUESTS", "1000000")
        .start()
        .await;
    let model = ModelLog::attach(&env.provider, seed);
    let findings = Findings::new(seed);
    let run = Arc::new(Run { seed, findings, model, over: AtomicU64::new(0), deaths: Mutex::default() });
    let mut wires = Vec::new();
    for _ in 0..users {
        let phone = env.phone().await;
        wires.push(Wire::new(&phone.client.url(""), &phone.tokens.access_token));
    }

    let people = tokio::select! {
        (people, ()) = async { tokio::join!(talk(&run, &wires, turns), faults::strike(&mut env, &run, kills, turns)) } => people,
        never = say_how_far(&run, turns) => match never {},
    };
    progress("all messages are answered; waiting for the outboxes");
    let people = audited(&run, people).await;

    progress("reading all of it again, after a restart");
    env.kill_workerd().await;
    env.start_workerd().await;
    let people = read_again(&run, people, "after a restart").await;
    progress("reading all of it again, from the origin");
    env.kill_workerd().await;
    env.start_workerd_without_objects().await;
    drop(read_again(&run, people, "from the origin").await);
    run.findings.report(stores, start.elapsed())
}

/// Runs all conversations at once, each turn after the one before.
async fn talk(run: &Arc<Run>, wires: &[Wire], turns: u32) -> Vec<Person> {
    let lanes = LANES * u32::try_from(wires.len()).unwrap_or(1);
    let mut talks = JoinSet::new();
    for (lane, (at, wire)) in (1..).zip((0..LANES).flat_map(|_| wires.iter().enumerate())) {
        let numbers = (lane..=turns).step_by(lanes as usize).collect();
        let (run, wire) = (Arc::clone(run), wire.clone());
        talks.spawn(async move { (at, phone::talk(run, wire, numbers).await) });
    }
    let mut people: Vec<_> =
        wires.iter().map(|wire| Person { wire: wire.clone(), talks: Vec::new() }).collect();
    for (at, said) in talks.join_all().await {
        people[at].talks.extend(said);
    }
    people
}

async fn audited(run: &Arc<Run>, people: Vec<Person>) -> Vec<Person> {
    audit::of_all(people, |mut person| {
        let run = Arc::clone(run);
        async move {
            audit::drained(&person.talks).await;
            audit::stored(&run, &person.wire, &mut person.talks).await;
            person
        }
    })
    .await
}

async fn read_again(run: &Arc<Run>, people: Vec<Person>, when: &'static str) -> Vec<Person> {
    audit::of_all(people, |mut person| {
        let run = Arc::clone(run);
        async move {
            audit::read_again(&run, &mut person.talks, when).await;
            person
        }
    })
    .await
}

async fn say_how_far(run: &Run, turns: u32) -> std::convert::Infallible {
    loop {
        sleep(SIGN_OF_LIFE).await;
        progress(&format!("{} of {turns} turns", run.turns_over()));
    }
}

/// Prints progress.
fn progress(what: &str) {
    // A closed standard error is ignored.
    let _ = writeln!(io::stderr(), "{what}");
}
