//! The checks after the last message: the origin has every turn once, and it reads the same afterwards.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    Run,
    phone::Talk,
    reader::{Ids, short},
    report::Promise,
    rng::Rng,
    wire::{Outcome, Wire, send},
};

/// The bound of delivery: an outbox waits at most thirty seconds between two attempts.
const DRAIN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(250);
const MAX_PAGES: usize = 50;

/// Waits until the origin has every turn of this user.
pub(super) async fn drained(talks: &[Talk]) {
    let (first, mut late) = (Instant::now(), Vec::new());
    for record in talks.iter().flat_map(|talk| &talk.records) {
        let Some(ids) = &record.ids else { continue };
        let path = format!("/api/v1/chat/turns/{}", ids.turn);
        let turn = &record.run;
        loop {
            match send(turn.wire.get(&path), &turn.run.findings.counts).await {
                Outcome::Whole(answer) if answer.body["persisted"] == true => break,
                Outcome::Whole(answer) if answer.status != 200 && !answer.is_transient() => {
                    turn.broken(
                        Promise::NotRefused,
                        format!("{} {} for the turn", answer.status, answer.code()),
                    );
                    break;
                }
                _ if first.elapsed() > DRAIN => {
                    late.push(record);
                    break;
                }
                _ => sleep(POLL).await,
            }
        }
    }
    for record in late {
        record.run.broken(Promise::Persisted, format!("not persisted {} s after the end", DRAIN.as_secs()));
    }
}

/// Compares a user's data at the origin with what was shown.
pub(super) async fn stored(run: &Run, wire: &Wire, talks: &mut [Talk]) {
    let (mut turns, mut usage, mut is_known) = (0, Counted::default(), true);
    for talk in talks.iter_mut() {
        let Some(messages) = messages(wire, run, &talk.conversation).await else {
            run.findings.broken(Promise::Stored, 0, format!("{} cannot be read", talk.conversation));
            is_known = false;
            continue;
        };
        let answers = messages.iter().filter(|message| message["role"] == "assistant");
        turns += u64::try_from(answers.clone().count()).unwrap_or_default();
        answers.for_each(|message| usage.add(&message["usage"]));
        compare(talk, &messages);
    }
    if is_known {
        check_usage(run, wire, talks, turns, usage).await;
    }
}

/// Sums of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    input: u64,
    output: u64,
}

impl Counted {
    fn add(&mut self, usage: &Value) {
        self.input += usage["input_tokens"].as_u64().unwrap_or_default();
        self.output += usage["output_tokens"].as_u64().unwrap_or_default();
    }
}

async fn check_usage(run: &Run, wire: &Wire, talks: &[Talk], turns: u64, counted: Counted) {
    let turn = talks.iter().flat_map(|talk| &talk.records).last().map_or(0, |record| record.run.plan.number);
    let Some(report) = read(wire, run, "/api/v1/usage/me").await else {
        return run.findings.broken(Promise::Usage, turn, "it cannot be read");
    };
    let mut reported = Counted::default();
    reported.add(&report["totals"]);
    let requests = report["totals"]["requests"].as_u64().unwrap_or_default();
    if (requests, reported) != (turns, counted) {
        run.findings.broken(
            Promise::Usage,
            turn,
            format!(
                "{requests} requests and {reported:?} of this user, and the messages say {turns} and {counted:?}"
            ),
        );
    }
}

/// Checks one conversation: every turn once, in order, as it was shown; nothing else.
fn compare(talk: &mut Talk, messages: &[Value]) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut by_turn: HashMap<String, Vec<&Value>> = HashMap::new();
    for message in messages {
        by_turn.entry(text(&message["turn_id"])).or_default().push(message);
    }
    let Some(last) = talk.records.last().map(|record| Arc::clone(&record.run)) else { return };
    let seqs: Vec<_> = messages.iter().filter_map(|message| message["seq"].as_u64()).collect();
    if !seqs.iter().copied().eq(1..=messages.len() as u64) {
        last.broken(Promise::Stored, format!("the messages are numbered {seqs:?}"));
    }
    let mut place = 0;
    for record in &mut talk.records {
        let turn = &record.run;
        let asked = messages.iter().filter(|message| message["content"] == *turn.plan.prompt);
        let asked: Vec<_> = asked.filter(|message| message["role"] == "user").collect();
        let [message] = asked[..] else {
            turn.broken(Promise::Stored, format!("the message is there {} times", asked.len()));
            continue;
        };
        let at = message["seq"].as_u64().unwrap_or_default();
        if at < place {
            turn.broken(Promise::Stored, format!("the message is number {at}, after a later one"));
        }
        place = at;
        let made = by_turn.remove(&text(&message["turn_id"])).unwrap_or_default();
        let answers: Vec<_> = made.iter().filter(|message| message["role"] == "assistant").collect();
        let [answer] = answers[..] else {
            turn.broken(Promise::Stored, format!("the answer is there {} times", answers.len()));
            continue;
        };
        let ids = Ids::read(&message["turn_id"], &message["id"], &answer["id"]);
        match (&record.ids, &ids) {
            (Some(known), Some(stored)) if known != stored => {
                turn.broken(Promise::Stored, format!("stored as {stored:?}, shown as {known:?}"));
            }
            _ => record.ids = ids,
        }
        let (status, content) = (text(&answer["status"]), text(&answer["content"]));
        if (&status, &content) != (&record.status, &record.text) {
            turn.broken(
                Promise::Stored,
                format!(
                    "stored as {status} {:?}, shown as {} {:?}",
                    short(&content),
                    record.status,
                    short(&record.text)
                ),
            );
        }
    }
    let given_up = talk.given_up.as_deref();
    let others = by_turn.into_iter().filter(|(_, messages)| {
        !messages.iter().any(|message| given_up.is_some_and(|prompt| message["content"] == *prompt))
    });
    for (turn, messages) in others {
        let said = messages.first().map(|message| text(&message["content"])).unwrap_or_default();
        last.broken(Promise::Stored, format!("turn {turn} was shown to nobody: {:?}", short(&said)));
    }
}

/// Reads every turn of a user again. The provider must not have been called meanwhile.
pub(super) async fn read_again(run: &Run, talks: &mut [Talk], when: &str) {
    for record in talks.iter_mut().flat_map(|talk| &mut talk.records) {
        let mut rng = Rng::new(run.seed, u64::from(record.run.plan.number) << 40);
        record.read_again(&mut rng, when).await;
        let calls = run.model.calls(record.run.plan.number).len();
        if calls != record.calls {
            record.run.broken(Promise::CalledOnce, format!("{calls} calls {when}, {} before", record.calls));
            record.calls = calls;
        }
    }
}

/// Runs `work` on every user's conversations, all users at once.
pub(super) async fn of_all<F, T>(users: Vec<T>, work: impl Fn(T) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut tasks = JoinSet::new();
    for user in users {
        tasks.spawn(work(user));
    }
    tasks.join_all().await
}

/// Reads all messages of a conversation, oldest first.
async fn messages(wire: &Wire, run: &Run, conversation: &str) -> Option<Vec<Value>> {
    let first = format!("/api/v1/chat/conversations/{conversation}/messages?limit=100");
    let (mut path, mut messages) = (first.clone(), Vec::new());
    for _ in 0..MAX_PAGES {
        let page = read(wire, run, &path).await?;
        messages.extend(page["items"].as_array().cloned().unwrap_or_default());
        let Some(cursor) = page["next_cursor"].as_str() else { return Some(messages) };
        path = format!("{first}&cursor={cursor}");
    }
    None
}

async fn read(wire: &Wire, run: &Run, path: &str) -> Option<Value> {
    const TRIES: u32 = 40;
    for _ in 0..TRIES {
        match send(wire.get(path), &run.findings.counts).await {
            Outcome::Whole(answer) if answer.status == 200 => return Some(answer.body),
            Outcome::Whole(answer) if !answer.is_transient() => return None,
            _ => sleep(POLL).await,
        }
    }
    None
}
