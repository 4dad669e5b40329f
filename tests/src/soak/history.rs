//! The prompts that the model got, compared with the messages before.

use super::{
    model::{ModelCall, Said},
    phone::Record,
    plan,
    report::Promise,
};

/// Checks the calls of a turn, their number and their prompts, and returns the number.
pub(super) fn check(record: &Record, before: &[Record]) -> usize {
    let turn = &record.run;
    let calls = turn.run.model.calls(turn.plan.number);
    // A process that is killed after it stored the running turn and before it sent the call makes none, and the next process
    // never repeats one. Nor is a call sent for a turn that is cancelled at once.
    let may_lack_call = match &*record.status {
        "failed" => true,
        "interrupted" | "cancelled" => record.text.is_empty(),
        _ => false,
    };
    if calls.is_empty() && !may_lack_call {
        turn.broken(Promise::CalledOnce, format!("{} without a call of the provider", record.status));
    }
    for pair in calls.windows(2) {
        let [one, next] = pair else { continue };
        let acknowledged = turn.acknowledged_at().is_some_and(|at| at < next.at);
        // A process that is killed before it stored the running turn may have called without acknowledging the message.
        if acknowledged || !turn.run.workerd_died_between(one.at, next.at) {
            let after = if acknowledged { "the message was acknowledged" } else { "nobody died" };
            turn.broken(Promise::CalledOnce, format!("{} calls, a later one after {after}", calls.len()));
        }
    }
    for call in &calls {
        if let Err(difference) = compare(call, before) {
            turn.broken(Promise::History, difference);
        }
    }
    calls.len()
}

/// One message of the history.
struct Expected<'a> {
    by_user: bool,
    text: &'a str,
    /// True for a message that was cancelled before its first word, which may be in the prompt or not.
    optional: bool,
}

fn compare(call: &ModelCall, before: &[Record]) -> Result<(), String> {
    let mut expected = Vec::new();
    let is_blocked = |record: &Record| {
        record.status == "incomplete" && matches!(record.run.plan.expected, plan::Expected::Blocked)
    };
    for record in before.iter().filter(|record| record.status != "failed" && !is_blocked(record)) {
        let optional = record.text.is_empty();
        expected.push(Expected { by_user: true, text: &record.run.plan.prompt, optional });
        if !optional {
            expected.push(Expected { by_user: false, text: &record.text, optional });
        }
    }
    let mut sent = call.history.iter().peekable();
    for Expected { by_user, text, optional } in &expected {
        let is_it = |said: &&Said| said.by_user == *by_user && said.text == *text;
        if sent.next_if(is_it).is_none() && !optional {
            return Err(difference(call, &expected));
        }
    }
    if sent.next().is_some() { Err(difference(call, &expected)) } else { Ok(()) }
}

fn difference(call: &ModelCall, expected: &[Expected<'_>]) -> String {
    let sent: Vec<_> = call.history.iter().map(|said| label(said.by_user, &said.text)).collect();
    let wanted: Vec<_> = expected.iter().map(|said| label(said.by_user, said.text)).collect();
    let missing: Vec<_> = wanted.iter().filter(|label| !sent.contains(label)).cloned().collect();
    let surplus: Vec<_> = sent.iter().filter(|label| !wanted.contains(label)).cloned().collect();
    format!(
        "missing [{}], surplus [{}]; sent [{}], expected [{}]",
        missing.join(" "),
        surplus.join(" "),
        sent.join(" "),
        wanted.join(" ")
    )
}

/// `u12` for the message of turn 12, `a12` for its answer with the length of its text.
fn label(by_user: bool, text: &str) -> String {
    if by_user {
        return plan::number_of(text).map_or_else(|| format!("u?{text:?}"), |number| format!("u{number}"));
    }
    let number = text.strip_prefix('a').and_then(|rest| rest.split('.').next()).unwrap_or("?");
    format!("a{number}({})", text.len())
}
