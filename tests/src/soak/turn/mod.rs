//! One message and its turn, with several phones that send it, disconnect, resume and cancel it.
//!
//! - `edits`: the turn is cancelled, and its conversation renamed

mod edits;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    Run,
    plan::{Mode, TurnPlan},
    reader::{Held, Ids, Terminal},
    report::{Promise, count},
    wire::{Answer, End, Events, Outcome, Wire, send},
};

/// The time limit of a phone's retries. No process is down for longer than some seconds.
const RETRY_TIMEOUT: Duration = Duration::from_secs(90);
/// The time for which a turn whose end every reader saw may still be reported as running.
const BUSY: Duration = Duration::from_secs(10);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(150);

/// The outcome of a turn as a phone saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The ids; `None` for a failure that was an error response.
    pub(super) ids: Option<Ids>,
    pub(super) status: String,
    pub(super) text: String,
    /// The id of the terminal event, when a stream was read.
    pub(super) end_id: Option<u64>,
    pub(super) output_tokens: u64,
    /// The number of resets.
    resets: u64,
}

/// A message and its turn, shared by its phones and faults.
#[derive(Debug)]
pub(super) struct TurnRun {
    pub(super) run: Arc<Run>,
    pub(super) wire: Wire,
    pub(super) conversation: String,
    pub(super) plan: TurnPlan,
    pub(super) started: Instant,
    /// The turn's id and the time of its first receipt: from then on the message is acknowledged.
    known: watch::Sender<Option<(String, Instant)>>,
}

/// The result of sending the message.
enum SendOutcome {
    Stream(Box<Events>),
    Running(String),
    Whole(Seen),
}

impl TurnRun {
    pub(super) fn new(run: Arc<Run>, wire: Wire, conversation: String, plan: TurnPlan) -> Self {
        Self { run, wire, conversation, plan, started: Instant::now(), known: watch::Sender::new(None) }
    }

    /// The time at which the message was first acknowledged.
    pub(super) fn acknowledged_at(&self) -> Option<Instant> {
        self.known.borrow().as_ref().map(|(_, at)| *at)
    }

    pub(super) fn broken(&self, promise: Promise, detail: impl Into<String>) {
        self.run.findings.broken(promise, self.plan.number, detail);
    }

    /// Sends the message and reads the answer to its end, however often the connection breaks.
    pub(super) async fn send_and_read(&self, mode: Mode, drops: &[u64]) -> Option<Seen> {
        let mut drops = drops.iter().copied();
        let seen = match self.ask(mode, &mut drops).await? {
            SendOutcome::Whole(seen) => seen,
            SendOutcome::Stream(events) => self.read(None, Some(events), Held::nothing(), &mut drops).await?,
            SendOutcome::Running(turn) => self.read(Some(turn), None, Held::nothing(), &mut drops).await?,
        };
        self.run.findings.counts.resets.fetch_add(seen.resets, Ordering::Relaxed);
        Some(seen)
    }

    /// Reads the events of a turn after this id, to their end.
    pub(super) async fn replay(&self, turn: &str, after: u64) -> Option<Seen> {
        self.read(Some(turn.to_owned()), None, Held::up_to(after), &mut [].into_iter()).await
    }

    /// Sends the message until it is accepted.
    async fn ask(&self, mode: Mode, drops: &mut impl Iterator<Item = u64>) -> Option<SendOutcome> {
        let (first, counts) = (Instant::now(), &self.run.findings.counts);
        let mut tries = 0_u32;
        while first.elapsed() < RETRY_TIMEOUT {
            if tries > 0 {
                count(&counts.repeats);
                sleep(PAUSE).await;
            }
            tries += 1;
            let sent = send(self.message(mode), counts);
            let outcome = match drops.next().filter(|_| mode == Mode::Json) {
                None => sent.await,
                Some(after) => {
                    let Ok(outcome) = timeout(Duration::from_millis(10 * after), sent).await else {
                        count(&counts.drops);
                        continue;
                    };
                    outcome
                }
            };
            match outcome {
                Outcome::Events(events) => return Some(SendOutcome::Stream(events)),
                Outcome::Whole(answer) => match self.taken(&answer, first) {
                    Taken::Accepted(asked) => return Some(asked),
                    Taken::Transient => {}
                    Taken::Refused => return None,
                },
                Outcome::Lost => {}
                Outcome::Silent => self.broken(Promise::Answered, format!("no answer to {mode:?} in time")),
            }
        }
        self.broken(Promise::Answered, format!("no answer to {mode:?} after {tries} tries"));
        None
    }

    fn taken(&self, answer: &Answer, first: Instant) -> Taken {
        let body = &answer.body;
        match answer.status {
            201 => {
                let message = &body["assistant_message"];
                let ids = Ids::read(&body["turn_id"], &body["user_message"]["id"], &message["id"]);
                let Some(ids) = ids else {
                    self.broken(Promise::Answered, format!("201 without ids: {body}"));
                    return Taken::Refused;
                };
                self.acknowledge(&ids.turn);
                Taken::Accepted(SendOutcome::Whole(Seen {
                    ids: Some(ids),
                    status: text(&body["status"]),
                    text: text(&message["content"]),
                    end_id: None,
                    output_tokens: body["usage"]["output_tokens"].as_u64().unwrap_or_default(),
                    resets: 0,
                }))
            }
            202 => {
                let turn = text(&body["id"]);
                self.acknowledge(&turn);
                Taken::Accepted(SendOutcome::Running(turn))
            }
            _ if answer.is_of_provider() => Taken::Accepted(SendOutcome::Whole(Seen {
                ids: None,
                status: "failed".to_owned(),
                text: String::new(),
                end_id: None,
                output_tokens: 0,
                resets: 0,
            })),
            500 => {
                self.broken(Promise::NotRefused, format!("500 {}", answer.code()));
                Taken::Transient
            }
            409 if answer.code() == "turn_running" && first.elapsed() < BUSY => Taken::Transient,
            _ if answer.is_transient() => Taken::Transient,
            status => {
                self.broken(Promise::NotRefused, format!("{status} {}: {}", answer.code(), body["detail"]));
                Taken::Refused
            }
        }
    }

    fn message(&self, mode: Mode) -> RequestBuilder {
        let path = format!("/api/v1/chat/conversations/{}/messages", self.conversation);
        let request = self.wire.ask(Method::POST, &path).json(&json!({ "content": self.plan.prompt }));
        let request = request.header("Idempotency-Key", format!("soak-{}", self.plan.number));
        match mode {
            Mode::Stream => request.header("Accept", "text/event-stream"),
            Mode::Json => request.header("Accept", "application/json"),
            Mode::Async => request.header("Accept", "application/json").header("Prefer", "respond-async"),
        }
    }

    /// Reads events to their end, and resumes at the last id whenever the connection breaks.
    async fn read(
        &self,
        mut turn: Option<String>,
        mut events: Option<Box<Events>>,
        mut held: Held,
        drops: &mut impl Iterator<Item = u64>,
    ) -> Option<Seen> {
        let (first, began_at, counts) = (Instant::now(), held.last, &self.run.findings.counts);
        let mut was_open = events.is_some();
        while first.elapsed() < RETRY_TIMEOUT {
            let stream = match (events.take(), &turn) {
                (Some(stream), _) => stream,
                // The head was received, and no event: the message is sent again.
                (None, None) => match Box::pin(self.ask(Mode::Stream, &mut [].into_iter())).await? {
                    SendOutcome::Stream(stream) => {
                        held = Held::nothing();
                        stream
                    }
                    SendOutcome::Running(id) => {
                        turn = Some(id);
                        continue;
                    }
                    SendOutcome::Whole(seen) => return Some(seen),
                },
                (None, Some(id)) => {
                    if was_open {
                        count(&counts.resumes);
                    }
                    match self.resumed(id, held.last).await? {
                        Some(stream) => stream,
                        None => continue,
                    }
                }
            };
            was_open = true;
            let ended = self.listen(stream, &mut held, drops.next()).await;
            if let Some(ids) = &held.ids {
                self.acknowledge(&ids.turn);
                turn = Some(ids.turn.clone());
            }
            match ended {
                Listened::Whole => break,
                Listened::Dropped => count(&counts.drops),
                Listened::Lost => sleep(PAUSE).await,
                Listened::Wrong(rule) => {
                    self.broken(Promise::Stream, format!("{rule} (read from {began_at})"));
                    return None;
                }
            }
        }
        let Some(Terminal { id, status, output_tokens }) = held.end else {
            self.broken(Promise::Answered, format!("no end of the stream after id {}", held.last));
            return None;
        };
        Some(Seen {
            ids: held.ids,
            status,
            text: held.text.unwrap_or_default(),
            end_id: Some(id),
            output_tokens,
            resets: held.resets,
        })
    }

    /// Requests the rest of a turn's events; returns `Some(None)` for a transient failure.
    async fn resumed(&self, turn: &str, last: u64) -> Option<Option<Box<Events>>> {
        let path = format!("/api/v1/chat/turns/{turn}/events");
        let request = match last % 2 {
            0 => self.wire.get(&format!("{path}?after={last}")),
            _ => self.wire.get(&path).header("Last-Event-ID", last.to_string()),
        };
        match send(request, &self.run.findings.counts).await {
            Outcome::Events(events) => Some(Some(events)),
            Outcome::Whole(answer) if answer.is_transient() => {
                if answer.status == 500 {
                    self.broken(Promise::NotRefused, format!("500 for the events after {last}"));
                }
                sleep(PAUSE).await;
                Some(None)
            }
            Outcome::Whole(answer) => {
                let (status, code) = (answer.status, answer.code());
                self.broken(Promise::NotRefused, format!("{status} {code} for the events after {last}"));
                None
            }
            Outcome::Lost => {
                sleep(PAUSE).await;
                Some(None)
            }
            Outcome::Silent => {
                self.broken(Promise::Answered, format!("no answer for the events after {last}"));
                Some(None)
            }
        }
    }

    /// Reads a stream to its end, or drops it after so many events.
    async fn listen(&self, mut stream: Box<Events>, held: &mut Held, drop_after: Option<u64>) -> Listened {
        let mut read = 0;
        loop {
            if held.end.is_none() && drop_after.is_some_and(|most| read >= most) {
                return Listened::Dropped;
            }
            match stream.next().await {
                Ok(event) => {
                    read += 1;
                    if let Err(rule) = held.take(&event) {
                        return Listened::Wrong(rule);
                    }
                    if let Some(ids) = &held.ids {
                        self.acknowledge(&ids.turn);
                    }
                }
                Err(End::Silent) if held.end.is_some() => {
                    return Listened::Wrong("the stream stays open after its end".to_owned());
                }
                Err(_) if held.end.is_some() => return Listened::Whole,
                Err(End::Broken) => return Listened::Lost,
                Err(End::Clean) => {
                    // A process that was killed may have sent its text before.
                    if !self.run.workerd_died_since(self.started) {
                        self.broken(
                            Promise::Stream,
                            format!("the stream ends after id {} without its terminal event", held.last),
                        );
                    }
                    return Listened::Lost;
                }
                Err(End::Silent) => {
                    self.broken(Promise::Answered, format!("the stream is silent after id {}", held.last));
                    return Listened::Lost;
                }
            }
        }
    }

    /// Records that the message was acknowledged as this turn.
    fn acknowledge(&self, turn: &str) {
        let mut another = None;
        self.known.send_if_modified(|known| {
            if let Some((id, _)) = known {
                another = (id != turn).then(|| id.clone());
                return false;
            }
            *known = Some((turn.to_owned(), Instant::now()));
            true
        });
        if let Some(first) = another {
            self.broken(Promise::SameForAll, format!("the message is turn {first} and turn {turn}"));
        }
    }
}

enum Taken {
    Accepted(SendOutcome),
    Transient,
    Refused,
}

enum Listened {
    Whole,
    Dropped,
    Lost,
    Wrong(String),
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
