//! Checks that the durable baseline does the work that it stands for: a reference that skips some is not comparable.

use serde_json::Value;
use shared::api::chat::{Message, Role, TurnStatus};

use super::{
    cases::turn_of,
    provider,
    stage::{QUESTION, Side, Stage},
};
use crate::{client::Phone, test_env::BaselineTurn};

const CHUNKS: usize = 4;
/// Runs two turns of a conversation through the durable baseline, and checks that they are stored and delivered.
///
/// # Panics
/// Panics when something is missing.
pub(super) async fn durable_baseline(stage: &Stage) {
    stage.provider.set_pace(turn_of(CHUNKS));
    let user = stage.users.first().expect("a user");
    let conversation = stage.conversation(user).await;
    let lane = stage.message(Side::Baseline, user, conversation);
    let mut connection = stage.site(Side::Baseline).connect().await;
    let mut turn_ids = Vec::new();
    for round in 0..2 {
        let (_, body) = connection.ask_right(&lane, round).await;
        turn_ids.push(turn_id(&String::from_utf8_lossy(&body)));
    }
    let direct = Phone {
        client: stage.env.client_of_origin().with_token(&user.tokens.access_token),
        tokens: user.tokens.clone(),
    };
    let delivered = direct.messages(conversation).await;
    let stored: Vec<_> = turn_ids.iter().map(|turn_id| stage.durable.stored_turn(turn_id)).collect();
    if let Err(missing) =
        check_delivered(&delivered, &turn_ids).and_then(|()| check_stored(&stored, stage.flush_ms))
    {
        stage.durable.print_log();
        panic!("the durable baseline does not do the work it stands for: {missing}");
    }
}

/// Returns the id of the turn of these events.
fn turn_id(events: &str) -> String {
    let ids: Vec<_> = events.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    let expected: Vec<_> = (1..=ids.len()).map(|id| id.to_string()).collect();
    assert_eq!(ids, expected, "the ids of the durable baseline's events count from 1: {events}");
    let started = data(events, "turn.started").next().unwrap_or_default();
    started["turn_id"].as_str().unwrap_or_else(|| panic!("there is a turn.started: {events}")).to_owned()
}

/// Returns the data of all events of a type.
fn data<'a>(events: &'a str, event: &'a str) -> impl Iterator<Item = Value> + 'a {
    let events = events.split("\n\n").map(|event| event.lines().skip_while(|line| line.starts_with("id: ")));
    events.filter_map(move |mut lines| {
        let name = lines.next()?.strip_prefix("event: ")?;
        let data = lines.next()?.strip_prefix("data: ")?;
        (name == event).then(|| serde_json::from_str(data).ok())?
    })
}

/// Returns the text of each delta.
fn words(events: &str) -> Vec<String> {
    data(events, "message.delta").filter_map(|delta| Some(delta["text"].as_str()?.to_owned())).collect()
}

/// Checks that the origin has both messages of each turn, in order.
fn check_delivered(messages: &[Message], turn_ids: &[String]) -> Result<(), String> {
    let answer = provider::text(CHUNKS);
    if messages.len() != 2 * turn_ids.len() {
        return Err(format!("the origin has {} messages of {} turns", messages.len(), turn_ids.len()));
    }
    let mut parent_id = None;
    for (at, message) in messages.iter().enumerate() {
        let (role, content) = if at % 2 == 0 { (Role::User, QUESTION) } else { (Role::Assistant, &*answer) };
        let is_right = message.role == role
            && message.content == content
            && message.status == TurnStatus::Completed
            && message.parent_id == parent_id
            && turn_ids.get(at / 2).is_some_and(|turn_id| *turn_id == message.turn_id.to_string());
        if !is_right {
            return Err(format!("the origin has {message:?}"));
        }
        parent_id = Some(message.id);
    }
    Ok(())
}

/// Checks that the object has both turns with their events, and has recorded the delivery of the first when the second began.
fn check_stored(turns: &[Option<BaselineTurn>], flush_ms: u32) -> Result<(), String> {
    let answer = provider::text(CHUNKS);
    for (turn, is_noted) in turns.iter().zip([true, false]) {
        let Some(BaselineTurn { answer: Some(stored), events: Some(events), delivered }) = turn else {
            return Err(format!("the object has stored {turn:?}"));
        };
        let words = words(events);
        let each_its_own = words.len() == CHUNKS || flush_ms > 0;
        if *stored != answer || words.concat() != answer || !each_its_own || *delivered != is_noted {
            return Err(format!("the object has stored {turn:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(words: &[&str], delivered: bool) -> BaselineTurn {
        let event = |word: &&str| format!("id: 2\nevent: message.delta\ndata: {{\"text\":\"{word}\"}}\n\n");
        let events = words.iter().map(event).collect();
        BaselineTurn { answer: Some(provider::text(CHUNKS)), events: Some(events), delivered }
    }

    #[test]
    fn baseline_that_stores_too_little_is_found() {
        let (all, joined) = (["word0 ", "word1 ", "word2 ", "word3 "], ["word0 ", "word1 word2 word3 "]);
        let check = |first, flush_ms| check_stored(&[first, Some(turn(&all, false))], flush_ms);
        assert_eq!(check(Some(turn(&all, true)), 0), Ok(()));
        assert_eq!(check(Some(turn(&joined, true)), 33), Ok(()));
        let unfinished = BaselineTurn { answer: None, events: None, delivered: true };
        for wrong in [unfinished, turn(&all[1..], true), turn(&joined, true), turn(&all, false)] {
            assert!(check(Some(wrong.clone()), 0).is_err(), "{wrong:?}");
        }
        assert!(check(None, 0).is_err());
    }

    #[test]
    fn baseline_that_delivers_nothing_is_found() {
        assert!(check_delivered(&[], &["a".to_owned()]).is_err());
    }
}
