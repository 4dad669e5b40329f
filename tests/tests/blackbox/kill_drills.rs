//! Tests that kill workerd at each step of a turn: what was acknowledged is stored, nothing is stored twice, and every turn has
//! one terminal event. `EDGECHAT_DRILL_ROUNDS` is the number of rounds (3); each kills a millisecond later than the one before.

use std::time::Duration;

use edgechat_tests::{
    client::{Ask, Event, EventStream, Phone, content, text_of},
    test_env::TestEnv,
};
use rstest::rstest;
use shared::{
    api::chat::{Role, TurnStatus},
    id::Id,
};
use tokio::time::sleep;

/// The longest delay of a kill; the next round starts again without delay.
const LATEST_MS: u64 = 20;

/// The step of a turn at which workerd is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The provider has the call; the turn is being written to storage.
    Begin,
    /// Text has been sent to the client.
    Flush,
    /// The model has finished; the outcome is being written to storage.
    End,
    /// The origin has the delivery and has not responded.
    Delivery,
    /// The terminal event has been sent; the receipt is not in storage yet.
    Note,
}

fn rounds() -> u64 {
    match std::env::var("EDGECHAT_DRILL_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("EDGECHAT_DRILL_ROUNDS is a number of rounds"),
        Err(_) => 3,
    }
}

/// The events of a turn that a phone received before the kill.
#[derive(Debug, Default)]
struct Seen {
    turn: Option<Id>,
    last_id: u64,
    events: Vec<Event>,
}

impl Seen {
    /// Reads events until one of this kind; returns false when the connection broke before.
    async fn until(&mut self, stream: &mut EventStream, kind: &str) -> bool {
        while let Ok(Some(event)) = stream.try_next().await {
            if event.kind == "turn.started" {
                self.turn = Some(event.turn_id());
            }
            self.last_id = event.id;
            let is_it = event.kind == kind;
            self.events.push(event);
            if is_it {
                return true;
            }
        }
        false
    }
}

/// Sends a message and kills workerd at this step of its turn.
async fn ask_and_kill(env: &mut TestEnv, ask: Ask, step: Step, delay: Duration) -> Seen {
    let mut seen = Seen::default();
    let upcoming = env.provider.hand_over();
    if step == Step::Begin {
        let asked = tokio::spawn(ask.try_send());
        let call = upcoming.arrives().await;
        sleep(delay).await;
        env.kill_workerd().await;
        drop(call);
        let _ = asked.await.unwrap();
        return seen;
    }
    let (mut stream, mut call) = tokio::join!(ask.stream(), upcoming.arrives());
    call.send_text("Once upon ").await.unwrap();
    assert!(seen.until(&mut stream, "message.delta").await);
    match step {
        Step::Begin | Step::Flush => {
            call.send_text("a ").await.unwrap();
            sleep(delay).await;
            env.kill_workerd().await;
        }
        Step::End => {
            call.stop().await.unwrap();
            sleep(delay).await;
            env.kill_workerd().await;
        }
        Step::Delivery => {
            env.suspend_origin().await;
            call.stop().await.unwrap();
            assert!(seen.until(&mut stream, "message.completed").await);
            sleep(delay).await;
            env.kill_workerd().await;
            env.resume_origin();
        }
        Step::Note => {
            call.stop().await.unwrap();
            assert!(seen.until(&mut stream, "turn.completed").await);
            sleep(delay).await;
            env.kill_workerd().await;
        }
    }
    // Events that were in flight.
    seen.until(&mut stream, "turn.completed").await;
    seen
}

/// Compares the stored messages of a question with the events of its turn.
async fn check(phone: &Phone, conversation: Id, question: &str, answered: Id, seen: &Seen) -> TurnStatus {
    let turn = phone.persisted(answered).await;
    let messages = phone.messages(conversation).await;
    let asked: Vec<_> = messages.iter().filter(|message| message.content == question).collect();
    assert_eq!(asked.len(), 1, "{question}");
    let answers = messages.iter().filter(|message| message.turn_id == answered);
    let answers: Vec<_> = answers.filter(|message| message.role == Role::Assistant).collect();
    assert_eq!(answers.len(), 1, "{question}");
    assert_eq!((&answers[0].content, answers[0].status), (&turn.text, turn.status), "{question}");

    let all = phone.events(answered).events().await;
    assert_eq!(all.iter().filter(|event| event.is_terminal()).count(), 1, "{question}: {all:?}");
    assert!(all.last().unwrap().is_terminal(), "{question}: {all:?}");
    assert_eq!(text_of(&all), turn.text, "{question}");
    let rest = phone.events_after(answered, seen.last_id).events().await;
    let ends = seen.events.iter().chain(&rest).filter(|event| event.is_terminal());
    assert_eq!(ends.count(), 1, "{question}: {:?} and then {rest:?}", seen.events);
    assert_eq!(text_of(seen.events.iter().chain(&rest)), turn.text, "{question}");
    turn.status
}

#[rstest]
#[case::begin(Step::Begin)]
#[case::flush(Step::Flush)]
#[case::end(Step::End)]
#[case::delivery(Step::Delivery)]
#[case::note(Step::Note)]
#[tokio::test]
async fn kill_at_each_turn_step_loses_and_duplicates_nothing(#[case] step: Step) {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let mut requests = 0;
    for round in 0..rounds() {
        let question = format!("Question {round}");
        let ask = || phone.message(conversation, &content(&question)).key(&format!("{step:?}-{round}"));
        let seen = ask_and_kill(&mut env, ask(), step, Duration::from_millis(round % LATEST_MS)).await;
        env.start_workerd().await;
        // The phone sends the message again, as after any broken connection.
        let again = ask().stream().await.rest().await;
        let answered = again[0].turn_id();
        if let Some(turn) = seen.turn {
            assert_eq!(answered, turn, "{question}: the retry returns the acknowledged turn");
        }
        let status = check(&phone, conversation, &question, answered, &seen).await;
        if step == Step::Note {
            assert_eq!(status, TurnStatus::Completed, "{question}");
        }
        requests += 1;
        assert_eq!(phone.usage().await.totals.requests, requests, "{question}");
    }
}
