//! The measurements of an origin.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::json;
use shared::{
    api::{account::Tokens, chat::Message, page::Page},
    id::Id,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    delivery::Deliveries,
    stage::{Person, Stage, USERS},
    table::Figure,
};
use crate::{
    bench::{
        figures::{Rounds, percentile_ms},
        load::{Lane, Site, hammer},
        progress,
    },
    client::messages_path,
};

/// Exchanges of refresh tokens per second, as in the design's target.
const REFRESHES_A_SECOND: u32 = 200;
/// Reads of the first and of the last page of a long conversation.
const READS: usize = 200;
const LIST: &str = "/api/v1/chat/conversations";

/// The length of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds that count.
    pub rounds: usize,
    /// The time for which a round loads the origin.
    pub length: Duration,
    /// Messages in the long conversation; none is filled when 0.
    pub messages: u64,
}

/// Measures one origin. A long conversation is measured on stores with indexes only.
pub(super) async fn measure(stage: &mut Stage, has_indexes: bool, effort: Effort) -> Vec<Figure> {
    let mut figures = vec![Figure::new("resident before", "MiB", resident(stage))];
    figures.extend(
        under_load(stage, "who am I", effort, |stage| lanes(stage, |_| "/api/v1/auth/me".to_owned())).await,
    );
    figures
        .extend(under_load(stage, "list, cached", effort, |stage| lanes(stage, |_| LIST.to_owned())).await);
    // A page after the first is never cached, and costs the stores as much as the first.
    let cursors = second_pages(stage).await;
    let cold = |stage: &Stage| {
        lanes(stage, |index| format!("{LIST}?cursor={}", cursors.get(index).map_or("", String::as_str)))
    };
    figures.extend(under_load(stage, "list, not cached", effort, cold).await);
    let page = |stage: &Stage| {
        lanes(stage, |index| {
            stage.people.get(index).map_or_else(String::new, |person| messages_path(person.read))
        })
    };
    figures.extend(under_load(stage, "page of messages", effort, page).await);
    let deliveries: Vec<_> =
        stage.people.iter().map(|person| deliveries(stage, person, person.written).lane()).collect();
    figures.extend(under_load(stage, "turn delivery", effort, |_| deliveries.clone()).await);
    figures.push(refreshes(stage, effort).await);
    if has_indexes && effort.messages > 0 {
        figures.extend(long_conversation(stage, effort.messages).await);
    }
    figures.push(Figure::new("resident after", "MiB", resident(stage)));
    figures.push(Figure::new(
        "most resident",
        "MiB",
        stage.process().peak_memory_mib().into_iter().collect(),
    ));
    figures
}

fn resident(stage: &Stage) -> Rounds {
    stage.process().resident_mib().into_iter().collect()
}

fn deliveries(stage: &Stage, person: &Person, conversation: Id) -> Deliveries {
    Deliveries::to(stage.site(), stage.keys.clone(), &person.phone, conversation)
}

/// Measures requests per second, their latency, and the cost of each for the origin's process.
async fn under_load(
    stage: &Stage,
    what: &'static str,
    effort: Effort,
    lanes: impl Fn(&Stage) -> Vec<Lane>,
) -> Vec<Figure> {
    let (mut rate, mut half, mut most, mut cpu) =
        (Rounds::default(), Rounds::default(), Rounds::default(), Rounds::default());
    let lanes = lanes(stage);
    for round in 0..=effort.rounds {
        progress(&format!("{what}: round {round} of {}", effort.rounds));
        let (run, cost) = stage.process().cost_of(hammer(&stage.site(), &lanes, effort.length)).await;
        // The first round warms up.
        if round == 0 {
            continue;
        }
        rate.push(run.rate());
        half.push(percentile_ms(run.timings.iter().map(|timing| timing.whole), 0.5));
        most.push(percentile_ms(run.timings.iter().map(|timing| timing.whole), 0.99));
        if let Some(cost) = run.each(cost) {
            cpu.push(cost);
        }
    }
    vec![
        Figure::new(what, "requests/s", rate),
        Figure::new(what, "ms, p50", half),
        Figure::new(what, "ms, p99", most),
        Figure::new(what, "ms of processor", cpu),
    ]
}

/// One lane per user, which requests this path repeatedly.
fn lanes(stage: &Stage, path: impl Fn(usize) -> String) -> Vec<Lane> {
    let site = stage.site();
    let lane = |(index, person): (usize, &Person)| {
        let authorization = format!("Bearer {}", person.phone.tokens.access_token);
        let headers = [("accept", "application/json"), ("authorization", authorization.as_str())];
        let template = site.request(Method::GET, &path(index), &headers, Bytes::new());
        Lane::same(template, |body| body.starts_with(b"{") && body.len() > 100)
    };
    stage.people.iter().enumerate().map(lane).collect()
}

/// Returns for each user the cursor of the list's second page, which has fewer items than the first.
async fn second_pages(stage: &Stage) -> Vec<String> {
    let mut cursors = Vec::with_capacity(USERS);
    for person in &stage.people {
        let list = person.phone.client.get(&format!("{LIST}?limit=10")).send().await.expect_status(200);
        let cursor = list.json::<Page<serde_json::Value>>().next_cursor;
        cursors.push(cursor.expect("a list of more than a page"));
    }
    cursors
}

/// Measures exchanges of refresh tokens at a steady rate; a late start counts as waiting.
async fn refreshes(stage: &Stage, effort: Effort) -> Figure {
    let mut most = Rounds::default();
    let mut tokens: Vec<_> =
        stage.people.iter().map(|person| person.phone.tokens.refresh_token.clone()).collect();
    let users = u32::try_from(USERS).expect("a few users");
    let between = Duration::from_secs(1) * users / REFRESHES_A_SECOND;
    for round in 0..=effort.rounds {
        progress(&format!("token refresh at {REFRESHES_A_SECOND}/s: round {round} of {}", effort.rounds));
        let began = Instant::now();
        let mut running = JoinSet::new();
        for (index, token) in (0..users).zip(tokens.drain(..)) {
            let first = began + between * index / users;
            running.spawn(refresh_on(stage.site(), token, first, between, began + effort.length));
        }
        let mut took = Vec::new();
        while let Some(lane) = running.join_next().await {
            let (last, times) = lane.expect("a lane that failed has panicked already");
            tokens.push(last);
            took.extend(times);
        }
        if round > 0 {
            most.push(percentile_ms(took, 0.99));
        }
    }
    Figure::new("token refresh at 200/s", "ms, p99", most)
}

async fn refresh_on(
    site: Site,
    mut token: String,
    first: Instant,
    between: Duration,
    until: Instant,
) -> (String, Vec<Duration>) {
    let mut connection = site.connect().await;
    let (mut due, mut took) = (first, Vec::new());
    while due < until {
        sleep_until(due).await;
        let body = json!({ "refresh_token": token }).to_string();
        let headers = [("content-type", "application/json")];
        let request = site.request(Method::POST, "/api/v1/auth/refresh", &headers, body.into());
        let mut answer = connection.ask(request).await;
        let body = answer.read().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        took.push(due.elapsed());
        let tokens: Tokens = serde_json::from_slice(&body).expect("tokens");
        token = tokens.refresh_token;
        due += between;
    }
    (token, took)
}

/// Measures the first and the last page of a conversation with many messages.
async fn long_conversation(stage: &Stage, messages: u64) -> Vec<Figure> {
    progress(&format!("a conversation of {messages} messages"));
    let person = stage.people.first().expect("a user");
    let conversation = person.phone.conversation().await;
    let all = deliveries(stage, person, conversation);
    // One after the other, as the Worker delivers the turns of a conversation.
    all.send(messages / 2).await;
    let path = messages_path(conversation);
    // The last page of the ascending order is requested by its `seq`, as by a client that has read all others.
    let last_seq = messages - messages % 2 - 20;
    let first = read_times(person, &path).await;
    let last = read_times(person, &format!("{path}?after_seq={last_seq}")).await;
    let newest = read_times(person, &format!("{path}?order=desc")).await;
    vec![
        Figure::new("first page of a long conversation", "ms, p50", [first].into_iter().collect()),
        Figure::new("last page of a long conversation", "ms, p50", [last].into_iter().collect()),
        Figure::new("newest page of a long conversation", "ms, p50", [newest].into_iter().collect()),
    ]
}

async fn read_times(person: &Person, path: &str) -> f64 {
    let mut took = Vec::with_capacity(READS);
    for _ in 0..READS {
        let began = Instant::now();
        let reply = person.phone.client.get(path).send().await.expect_status(200);
        let page: Page<Message> = reply.json();
        took.push(began.elapsed());
        assert_eq!(page.items.len(), 20, "a full page at {path}");
    }
    percentile_ms(took, 0.5)
}
