//! Deliveries that belong together, and those that do not.

use rstest::rstest;

use super::*;
use crate::api::{ErrorCode, chat::Part};

const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

fn id(n: u8) -> Id {
    Id::new(NOW, [n; 10])
}

fn message(n: u8, parent_id: Option<Id>, role: Role, text: &str) -> Message {
    Message {
        id: id(n),
        conversation_id: id(3),
        turn_id: id(1),
        parent_id,
        siblings: vec![id(n)],
        seq: u64::from(n),
        role,
        content: text.to_owned(),
        parts: vec![Part::Text { text: text.to_owned() }],
        status: TurnStatus::Completed,
        finish_reason: None,
        model: None,
        usage: None,
        tool_calls: Vec::new(),
        created_at: NOW,
        updated_at: NOW,
    }
}

/// A delivery whose messages follow each other, the first of them this one.
fn delivery(kind: TurnKind, roles: &[Role]) -> TurnDelivery {
    let mut parent_id = Some(id(9));
    let messages =
        roles.iter().zip(10..).map(|(role, n)| message(n, parent_id.replace(id(n)), *role, "words"));
    let messages = TurnMessages::new(messages.collect()).unwrap();
    TurnDelivery {
        turn_id: id(1),
        user_id: id(2),
        conversation_id: id(3),
        kind,
        status: TurnStatus::Completed,
        model: "fast".to_owned(),
        error: None,
        head_before: Some(id(9)),
        head_id: messages.answer().id,
        messages,
        usage: Usage::default(),
        last_event_id: 3,
        created_at: NOW,
        finished_at: NOW,
    }
}

#[rstest]
#[case(TurnKind::Reply, &[Role::User, Role::Assistant], true)]
#[case(TurnKind::Reply, &[Role::User, Role::Assistant, Role::Tool, Role::Tool, Role::Assistant], true)]
#[case(TurnKind::Edit, &[Role::User, Role::Assistant], true)]
#[case(TurnKind::Regenerate, &[Role::Assistant], true)]
#[case(TurnKind::Continue, &[Role::Assistant, Role::Tool, Role::Assistant], true)]
#[case(TurnKind::ToolResults, &[Role::Tool, Role::Assistant], true)]
#[case(TurnKind::Reply, &[Role::Assistant], false)]
#[case(TurnKind::Reply, &[Role::User], false)]
#[case(TurnKind::Reply, &[Role::User, Role::Assistant, Role::User, Role::Assistant], false)]
#[case(TurnKind::Regenerate, &[Role::User, Role::Assistant], false)]
#[case(TurnKind::ToolResults, &[Role::Assistant], false)]
fn messages_of_a_turn_speak_as_its_kind_does(
    #[case] kind: TurnKind,
    #[case] roles: &[Role],
    #[case] is_right: bool,
) {
    assert_eq!(delivery(kind, roles).check().is_ok(), is_right);
}

#[test]
fn delivery_that_does_not_belong_together_names_its_field() {
    fn changed(field: &str, change: fn(&mut TurnDelivery)) {
        let mut turn = delivery(TurnKind::Reply, &[Role::User, Role::Assistant]);
        change(&mut turn);
        let error = turn.check().unwrap_err();
        assert_eq!((error.code, error.errors[0].field.as_str()), (ErrorCode::ValidationFailed, field));
    }
    changed("messages", |turn| turn.messages.answer_mut().turn_id = turn.user_id);
    changed("messages", |turn| turn.messages.answer_mut().conversation_id = turn.user_id);
    changed("messages", |turn| turn.messages.answer_mut().status = TurnStatus::Running);
    changed("messages", |turn| turn.messages.answer_mut().parent_id = None);
    changed("messages", |turn| turn.messages.answer_mut().id = turn.messages.first().id);
    changed("messages", |turn| {
        turn.messages.iter_mut().for_each(|message| message.parent_id = Some(message.id));
    });
    changed("head_id", |turn| turn.head_id = turn.messages.first().id);
    changed("status", |turn| turn.status = TurnStatus::Queued);
    changed("finished_at", |turn| turn.finished_at = turn.created_at.plus_millis(-1));
    changed("finished_at", |turn| turn.finished_at = Timestamp::MAX.plus_millis(1));
}

#[test]
fn last_text_is_the_newest_words_of_no_tool() {
    let mut turn = delivery(TurnKind::Reply, &[Role::User, Role::Assistant, Role::Tool, Role::Assistant]);
    let said = ["ask", "let me see", "{}", "done"];
    for (message, words) in turn.messages.iter_mut().zip(said) {
        words.clone_into(&mut message.content);
    }
    assert_eq!(turn.last_text(), "done");
    turn.messages.answer_mut().content.clear();
    assert_eq!(turn.last_text(), "let me see");
}
