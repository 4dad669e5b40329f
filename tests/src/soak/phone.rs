//! A user's conversations, one message after the other, each checked when its turn has ended.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    Run, history,
    plan::{Expected, TurnPlan},
    reader::{Ids, short},
    report::{Promise, count},
    rng::Rng,
    turn::{Seen, TurnRun},
    wire::{Outcome, Wire, send},
};

/// The least and most turns of one conversation, all of whose messages fit a context.
const TURNS: (u64, u64) = (8, 24);

/// A turn that has ended.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) run: Arc<TurnRun>,
    /// The ids; `None` when the message failed and every response was an error.
    pub(super) ids: Option<Ids>,
    pub(super) status: String,
    pub(super) text: String,
    pub(super) end_id: Option<u64>,
    /// The number of calls of the provider.
    pub(super) calls: usize,
}

/// A conversation that has ended.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) conversation: String,
    pub(super) records: Vec<Record>,
    /// The message whose turn was given up, which ended it.
    pub(super) given_up: Option<String>,
}

/// Runs these turns, in as many conversations as they need.
pub(super) async fn talk(run: Arc<Run>, wire: Wire, numbers: Vec<u32>) -> Vec<Talk> {
    let mut numbers = numbers.into_iter().peekable();
    let mut talks = Vec::new();
    while let Some(next) = numbers.peek() {
        let mut rng = Rng::new(run.seed, u64::from(*next) << 32);
        let Some(conversation) = open(&run, &wire, *next).await else { return talks };
        let mut talk = Talk { conversation, records: Vec::new(), given_up: None };
        for number in numbers.by_ref().take(usize::try_from(rng.between(TURNS.0, TURNS.1)).unwrap_or(1)) {
            let plan = TurnPlan::new(run.seed, number);
            let pause = plan.pause;
            let turn = TurnRun::new(Arc::clone(&run), wire.clone(), talk.conversation.clone(), plan);
            let turn = Arc::new(turn);
            let record = run_turn(Arc::clone(&turn), &talk.records).await;
            run.turn_is_over();
            let Some(record) = record else {
                // Its outcome is unknown, and so is the history of the next message.
                talk.given_up = Some(turn.plan.prompt.clone());
                break;
            };
            talk.records.push(record);
            sleep(pause).await;
        }
        talks.push(talk);
    }
    talks
}

/// Opens a conversation, with retries.
async fn open(run: &Run, wire: &Wire, number: u32) -> Option<String> {
    const TRIES: u32 = 300;
    for _ in 0..TRIES {
        let request = wire.ask(Method::POST, "/api/v1/chat/conversations").json(&json!({}));
        let request = request.header("Idempotency-Key", format!("soak-conversation-{number}"));
        match send(request, &run.findings.counts).await {
            Outcome::Whole(answer) if answer.status == 201 => {
                return answer.body["id"].as_str().map(str::to_owned);
            }
            Outcome::Whole(answer) if !answer.is_transient() => {
                let refused = format!("{} {} for a conversation", answer.status, answer.code());
                run.findings.broken(Promise::NotRefused, number, refused);
                return None;
            }
            _ => sleep(Duration::from_millis(200)).await,
        }
    }
    run.findings.broken(Promise::Answered, number, "no conversation could be opened");
    None
}

/// Runs one turn, with the faults meanwhile and the checks after it.
async fn run_turn(turn: Arc<TurnRun>, before: &[Record]) -> Option<Record> {
    let mut phones = JoinSet::new();
    for (at, mode) in turn.plan.modes.clone().into_iter().enumerate() {
        let turn = Arc::clone(&turn);
        let drops = if at == 0 { turn.plan.drops.clone() } else { Vec::new() };
        phones.spawn(async move { turn.send_and_read(mode, &drops).await });
    }
    let mut others = JoinSet::new();
    if let Some(after_ms) = turn.plan.cancel_after_ms {
        let turn = Arc::clone(&turn);
        others.spawn(async move { turn.cancel(after_ms).await });
    }
    if let Some(after_ms) = turn.plan.rename_after_ms {
        let turn = Arc::clone(&turn);
        others.spawn(async move { turn.rename(after_ms).await });
    }
    let all: Vec<Seen> = phones.join_all().await.into_iter().flatten().collect();
    // A client that got an error does not know the turn's id and cannot cancel it.
    if all.iter().all(|seen| seen.ids.is_none()) {
        others.abort_all();
    }
    while others.join_next().await.is_some() {}
    let ended = Instant::now();

    let mut all = all.into_iter();
    let mut record = Record {
        run: Arc::clone(&turn),
        ids: None,
        status: String::new(),
        text: String::new(),
        end_id: None,
        calls: 0,
    };
    let first = all.next()?;
    (record.ids, record.status, record.text, record.end_id) =
        (first.ids, first.status, first.text, first.end_id);
    let output_tokens = first.output_tokens;
    for seen in all {
        record.agrees(&seen, Promise::SameForAll, "at once");
    }
    record.judge(output_tokens, ended);
    record.calls = history::check(&record, before);
    record.again().await;
    Some(record)
}

impl Record {
    /// Checks that another phone, or the same one later, saw the same.
    pub(super) fn agrees(&mut self, seen: &Seen, promise: Promise, when: &str) {
        let turn = &self.run;
        if (&seen.status, &seen.text) != (&self.status, &self.text) {
            let (status, text) = (&self.status, short(&self.text));
            turn.broken(
                promise,
                format!("{when}: {} {:?}, and before {status} {text:?}", seen.status, short(&seen.text)),
            );
        }
        match (&self.ids, &seen.ids) {
            (Some(known), Some(seen)) if known != seen => {
                turn.broken(promise, format!("{when}: other ids: {seen:?}, and before {known:?}"));
            }
            (None, Some(seen)) => self.ids = Some(seen.clone()),
            _ => {}
        }
        match (self.end_id, seen.end_id) {
            (Some(known), Some(seen)) if known != seen => {
                turn.broken(promise, format!("{when}: the end is event {seen}, and before {known}"));
            }
            (None, Some(seen)) => self.end_id = Some(seen),
            _ => {}
        }
    }

    /// Checks the outcome against the script and the faults meanwhile.
    fn judge(&self, output_tokens: u64, ended: Instant) {
        let (turn, counts) = (&self.run, &self.run.run.findings.counts);
        let TurnPlan { said, expected, cancel_after_ms, usage, .. } = &turn.plan;
        let whole = self.text == *said;
        let fits = match (self.status.as_str(), expected) {
            ("completed", Expected::Completed) | ("incomplete", Expected::Stopped | Expected::Blocked) => {
                whole
            }
            ("incomplete", Expected::Cut) => !self.text.is_empty(),
            ("failed", Expected::Cut | Expected::Failed) => self.text.is_empty(),
            ("cancelled", _) => {
                count(&counts.cancelled);
                cancel_after_ms.is_some()
            }
            ("interrupted", _) => {
                count(&counts.interrupted);
                turn.run.workerd_died_between(turn.started, ended)
            }
            _ => false,
        };
        if self.status == "failed" {
            count(&counts.failed);
        }
        if !fits || !said.starts_with(&self.text) {
            let (status, text) = (&self.status, short(&self.text));
            turn.broken(
                Promise::Outcome,
                format!("{status} {text:?}, and the script is {expected:?} {:?}", short(said)),
            );
        }
        let is_counted = match (self.status.as_str(), expected) {
            ("completed" | "incomplete", Expected::Cut) => output_tokens > 0,
            ("completed" | "incomplete", _) => output_tokens == usage.output_tokens,
            _ => true,
        };
        if !is_counted {
            let reported = usage.output_tokens;
            turn.broken(
                Promise::Usage,
                format!("{output_tokens} tokens are counted, and the model reported {reported}"),
            );
        }
    }

    /// Sends the message again, reads the turn again and requests the events after the last.
    async fn again(&mut self) {
        let turn = Arc::clone(&self.run);
        if let Some(mode) = turn.plan.repeat {
            count(&turn.run.findings.counts.repeats);
            if let Some(seen) = turn.send_and_read(mode, &[]).await {
                self.agrees(&seen, Promise::SameForAll, "sent again");
            }
        }
        let mut rng = Rng::new(turn.run.seed, u64::from(turn.plan.number) << 20);
        if rng.percent(25) {
            self.read_again(&mut rng, "read again").await;
        }
    }

    /// Reads all events again, then those after some cursor, then those after the last.
    pub(super) async fn read_again(&mut self, rng: &mut Rng, when: &str) {
        let turn = Arc::clone(&self.run);
        let Some(ids) = self.ids.clone() else { return };
        count(&turn.run.findings.counts.replays);
        if let Some(seen) = turn.replay(&ids.turn, 0).await {
            self.agrees(&seen, Promise::Replay, when);
        }
        let Some(end_id) = self.end_id else { return };
        let cursor = rng.between(0, end_id - 1);
        if let Some(seen) = turn.replay(&ids.turn, cursor).await
            && (seen.end_id, &seen.status) != (Some(end_id), &self.status)
        {
            let (end, status) = (seen.end_id, &seen.status);
            turn.broken(
                Promise::Replay,
                format!(
                    "{when} from {cursor}: ends with {status} {end:?}, and before {} {end_id}",
                    self.status
                ),
            );
        }
        self.check_no_later_events(&ids.turn, end_id, when).await;
    }

    async fn check_no_later_events(&self, id: &str, end_id: u64, when: &str) {
        const TRIES: u32 = 100;
        let turn = &self.run;
        let path = format!("/api/v1/chat/turns/{id}/events?after={end_id}");
        for _ in 0..TRIES {
            match send(turn.wire.get(&path), &turn.run.findings.counts).await {
                Outcome::Whole(answer) if answer.status == 204 && answer.is_empty => return,
                Outcome::Events(mut events) => match events.next().await {
                    Ok(event) => {
                        let detail =
                            format!("{when}: after the last id {end_id}: {} {}", event.kind, event.id);
                        return turn.broken(Promise::NothingMore, detail);
                    }
                    Err(super::wire::End::Silent) => {
                        return turn.broken(Promise::NothingMore, format!("{when}: the stream stays open"));
                    }
                    Err(_) => return,
                },
                Outcome::Whole(answer) if !answer.is_transient() => {
                    let detail =
                        format!("{when}: {} {} after the last id {end_id}", answer.status, answer.code());
                    return turn.broken(Promise::NotRefused, detail);
                }
                _ => sleep(Duration::from_millis(150)).await,
            }
        }
        turn.broken(
            Promise::Answered,
            format!("{when}: no answer for the events after the last id {end_id}"),
        );
    }
}
