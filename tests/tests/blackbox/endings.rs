//! Tests of all the ways in which an answer can end, each told alike by the stream, the turn, the message and the usage.
//!
//! - `faults`: the table

mod faults;

use edgechat_tests::{
    client::{Phone, content, text_of},
    provider::call::USAGE,
    test_env::{Setup, TestEnv},
    wait::{BOUND, until},
};
use futures_util::{StreamExt, stream};
use shared::{
    api::{
        Problem,
        chat::{Message, SentMessage, Turn, TurnCode, TurnStatus},
        usage::Usage,
    },
    id::Id,
};

use self::faults::{Ending, Fault, Tokens};

/// Cases that run at once.
const AT_ONCE: usize = 6;

/// One way of asking for one fault.
struct Case {
    name: &'static str,
    is_streamed: bool,
    ending: Ending,
}

#[tokio::test]
async fn each_fault_ends_once_and_is_told_alike_everywhere() {
    let faults = faults::quick();
    assert!(faults.len() >= 30, "{} faults", faults.len());
    run(faults, TestEnv::setup()).await;
}

#[tokio::test]
async fn each_silence_ends_by_its_timeout_and_is_told_alike_everywhere() {
    let setup = TestEnv::setup().var("PROVIDER_FIRST_BYTE_MS", "4000").var("PROVIDER_STALL_MS", "4000");
    run(faults::slow(), setup).await;
}

/// Runs each fault in both ways, each with a user of its own, and fails with all that is not as the table says.
async fn run(faults: Vec<Fault>, setup: Setup) {
    let env = setup.start().await;
    let mut cases = Vec::new();
    for Fault { name, streamed, whole } in &faults {
        cases.push(Case { name, is_streamed: true, ending: streamed.1 });
        cases.extend(whole.iter().map(|(_, ending)| Case { name, is_streamed: false, ending: *ending }));
    }
    env.provider.choose(move |call| {
        let prompt = call.prompt();
        let fault = faults.iter().find(|fault| fault.name == prompt).expect("a fault of the table");
        let whole = || fault.whole.as_ref().expect("a fault of whole answers");
        if call.stream { fault.streamed.0.clone() } else { whole().0.clone() }
    });
    let wrong: Vec<String> =
        stream::iter(&cases).map(|case| check(&env, case)).buffer_unordered(AT_ONCE).concat().await;
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Returns what is not as the table says.
async fn check(env: &TestEnv, case: &Case) -> Vec<String> {
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let mut wrong = Vec::new();
    if case.is_streamed {
        streamed(&phone, conversation, case, &mut wrong).await;
    } else {
        whole(&phone, conversation, case, &mut wrong).await;
    }
    let message = until(BOUND, "the answer to be stored", || async {
        phone.messages(conversation).await.into_iter().nth(1)
    });
    let message = message.await;
    let turn = phone.persisted(message.turn_id).await;
    compare("turn", &of_turn(&turn), &case.ending, &mut wrong);
    compare("message", &of_message(&message), &case.ending, &mut wrong);
    usage(&phone, case, message.usage.unwrap_or_default(), &mut wrong).await;
    let way = if case.is_streamed { "streamed" } else { "whole" };
    wrong.iter().map(|wrong| format!("{} ({way}): {wrong}", case.name)).collect()
}

async fn streamed(phone: &Phone, conversation: Id, case: &Case, wrong: &mut Vec<String>) {
    let events = phone.stream(conversation, case.name).await.rest().await;
    let terminals = events.iter().filter(|event| event.is_terminal()).count();
    let Some(end) = events.last().filter(|event| event.is_terminal()) else {
        return wrong.push(format!("{terminals} terminal events, none last: {events:?}"));
    };
    let Ending { status, code, text, tokens, .. } = case.ending;
    let usage: Usage = serde_json::from_value(end.data["usage"].clone()).expect("a usage");
    let told = (terminals, end.kind.as_str(), end.data["code"].as_str().unwrap_or(""), text_of(&events));
    let expected = (1, format!("turn.{}", status.as_str()), code, text.to_owned());
    if told != (expected.0, &expected.1, expected.2, expected.3.clone()) || tokens_of(&usage) != tokens {
        wrong.push(format!("the stream tells {told:?} with {usage:?}, not {expected:?}"));
    }
}

async fn whole(phone: &Phone, conversation: Id, case: &Case, wrong: &mut Vec<String>) {
    let reply = phone.message(conversation, &content(case.name)).send().await;
    if case.ending.status == TurnStatus::Failed {
        let code = TurnCode::parse(case.ending.code).expect("a code").as_error();
        let problem: Problem = reply.json();
        if (reply.status, problem.code) != (code.status(), code) {
            wrong.push(format!("the answer is {} {:?}, not {code:?}", reply.status, problem.code));
        }
        return;
    }
    let sent: SentMessage = reply.expect_status(201).json();
    let told = Told { code: case.ending.code.to_owned(), ..of_message(&sent.assistant_message) };
    compare("answer", &told, &case.ending, wrong);
}

/// What one place tells of an answer.
#[derive(Debug, PartialEq)]
struct Told {
    status: TurnStatus,
    /// Empty where there is none; a message has none.
    code: String,
    text: String,
    finish_reason: String,
    tokens: Tokens,
}

fn of_turn(turn: &Turn) -> Told {
    Told {
        status: turn.status,
        code: turn.error.as_ref().map(|error| error.code.as_str().to_owned()).unwrap_or_default(),
        text: turn.text.clone(),
        finish_reason: String::new(),
        tokens: tokens_of(&turn.usage.unwrap_or_default()),
    }
}

fn of_message(message: &Message) -> Told {
    Told {
        status: message.status,
        code: String::new(),
        text: message.content.clone(),
        finish_reason: message.finish_reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        tokens: tokens_of(&message.usage.unwrap_or_default()),
    }
}

fn compare(place: &str, told: &Told, ending: &Ending, wrong: &mut Vec<String>) {
    let reason = ending.finish_reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default();
    let is_turn = place == "turn";
    let expected = Told {
        status: ending.status,
        code: if place == "message" { String::new() } else { ending.code.to_owned() },
        text: ending.text.to_owned(),
        finish_reason: if is_turn { String::new() } else { reason },
        tokens: ending.tokens,
    };
    if *told != expected {
        wrong.push(format!("the {place} tells {told:?}, not {expected:?}"));
    }
}

fn tokens_of(usage: &Usage) -> Tokens {
    match usage {
        usage if *usage == USAGE => Tokens::Said,
        usage if usage.estimated && usage.input_tokens > 0 && usage.total_tokens > 0 => Tokens::Estimated,
        usage if *usage == Usage::default() => Tokens::None,
        usage => panic!("{usage:?} is neither what the provider said, nor an estimate, nor nothing"),
    }
}

/// Compares the sums of a user with one turn: one that failed is an error and no message of the day.
async fn usage(phone: &Phone, case: &Case, of_message: Usage, wrong: &mut Vec<String>) {
    let report = until(BOUND, "the turn to be counted", || async {
        Some(phone.usage().await).filter(|report| report.totals.requests > 0)
    });
    let report = report.await;
    let (totals, is_failed) = (report.totals, case.ending.status == TurnStatus::Failed);
    let told = (
        totals.requests,
        totals.errors,
        totals.estimated,
        report.today.messages,
        totals.input_tokens,
        totals.output_tokens,
    );
    let is_estimated = case.ending.tokens == Tokens::Estimated;
    let Usage { input_tokens, output_tokens, .. } = of_message;
    let expected =
        (1, is_failed.into(), is_estimated.into(), (!is_failed).into(), input_tokens, output_tokens);
    if told != expected {
        wrong.push(format!("the usage tells {told:?}, not {expected:?}"));
    }
}
