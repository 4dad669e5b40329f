//! Tests of the budget, of the prompt, and of the place of a turn in a context.

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{
    api::{
        chat::{FinishReason, TurnKind},
        internal::TurnMessages,
        usage::Usage,
    },
    provider::gemini,
    time::Timestamp,
};

fn message(seq: u64, role: Role, text: &str) -> Message {
    let id = Id::new(Timestamp::from_millis(1), [0; 10]);
    let parts = if text.is_empty() { vec![] } else { vec![Part::Text { text: text.to_owned() }] };
    Message {
        id,
        conversation_id: id,
        turn_id: Id::new(Timestamp::from_millis(1), [u8::try_from(seq.div_ceil(2)).unwrap(); 10]),
        parent_id: None,
        siblings: vec![id],
        seq,
        role,
        content: text.to_owned(),
        parts,
        status: TurnStatus::Completed,
        finish_reason: None,
        model: None,
        usage: None,
        tool_calls: vec![],
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    }
}

fn texts(messages: &[ChatMessage]) -> Vec<String> {
    messages
        .iter()
        .flat_map(|message| &message.parts)
        .map(|part| match part {
            ContentPart::Text(text) => text.clone(),
            ContentPart::InlineImage { .. } => "[image]".to_owned(),
        })
        .collect()
}

#[test]
fn prompt_has_newest_messages_that_fit_and_begins_with_user() {
    let history = [
        message(1, Role::User, "one"),
        message(2, Role::Assistant, "two"),
        message(3, Role::User, "three"),
        message(4, Role::Assistant, ""),
        message(5, Role::User, "five"),
        message(6, Role::Assistant, "six"),
    ];
    let new = [Part::Text { text: "new".to_owned() }];
    assert_eq!(texts(&prompt(&history, &new, 1_000)), ["one", "two", "three", "five", "six", "new"]);
    assert_eq!(texts(&prompt(&history, &new, 6)), ["three", "five", "six", "new"]);
    // Only "two" and the messages after it fit: an answer without its question is left out.
    assert_eq!(texts(&prompt(&history, &new, 7)), ["three", "five", "six", "new"]);
    assert_eq!(texts(&prompt(&history, &new, 0)), ["new"]);
    assert_eq!(texts(&prompt(&[], &new, 100)), ["new"]);
}

#[rstest]
#[case::refused(TurnStatus::Failed, "", false)]
#[case::without_a_word(TurnStatus::Incomplete, "", false)]
#[case::interrupted_before_a_word(TurnStatus::Interrupted, "", true)]
#[case::cut_off(TurnStatus::Incomplete, "Once", true)]
#[case::interrupted(TurnStatus::Interrupted, "Once", true)]
#[case::cancelled(TurnStatus::Cancelled, "", true)]
fn question_without_answer_is_left_out(
    #[case] status: TurnStatus,
    #[case] answer: &str,
    #[case] stays: bool,
) {
    let history = newest(vec![
        message(1, Role::User, "one"),
        message(2, Role::Assistant, "two"),
        message(3, Role::User, "tell me"),
        Message { status, ..message(4, Role::Assistant, answer) },
    ]);
    let new = [Part::Text { text: "tell me".to_owned() }];
    let sent = texts(&prompt(&history, &new, 1_000));
    let mut expected = vec!["one", "two"];
    if stays {
        expected.push("tell me");
        expected.extend(Some(answer).filter(|answer| !answer.is_empty()));
    }
    expected.push("tell me");
    assert_eq!(sent, expected);
}

#[test]
fn blocked_message_is_left_out_with_its_answer() {
    let history = newest(vec![
        message(1, Role::User, "one"),
        message(2, Role::Assistant, "two"),
        message(3, Role::User, "forbidden"),
        Message {
            status: TurnStatus::Incomplete,
            finish_reason: Some(FinishReason::ContentFilter),
            ..message(4, Role::Assistant, "Half of")
        },
    ]);
    assert_eq!(history.len(), 4, "all are shown");
    let new = [Part::Text { text: "new".to_owned() }];
    assert_eq!(texts(&prompt(&history, &new, 1_000)), ["one", "two", "new"]);
}

/// Any answer to a question, and its turn.
fn exchange() -> impl Strategy<Value = (TurnStatus, Option<FinishReason>, String)> {
    let status = prop::sample::select(vec![
        TurnStatus::Completed,
        TurnStatus::Incomplete,
        TurnStatus::Cancelled,
        TurnStatus::Failed,
        TurnStatus::Interrupted,
    ]);
    let reason = prop::option::of(prop::sample::select(vec![
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::ContentFilter,
    ]));
    (status, reason, "[a-z]{0,3}")
}

proptest! {
    /// The prompt is what the provider takes, and has no turn that it blocked or that failed without an answer.
    #[test]
    fn prompt_alternates_once_written_and_has_no_blocked_turn(
        exchanges in prop::collection::vec(exchange(), 0..12), budget_tokens in 0usize..40,
    ) {
        let turns = exchanges.into_iter().zip(0u64..).map(|((status, finish_reason, answer), n)| {
            let answer = message(2 * n + 2, Role::Assistant, &answer);
            [message(2 * n + 1, Role::User, &format!("q{n}")), Message { status, finish_reason, ..answer }]
        });
        let history: Vec<Message> = turns.flatten().collect();
        let request = provider::ModelRequest {
            messages: prompt(&history, &[Part::Text { text: "new".to_owned() }], budget_tokens),
            ..provider::ModelRequest::default()
        };
        let sent = gemini::parse_request(&gemini::request(&request)).unwrap().messages;
        let roles: Vec<_> = sent.iter().map(|message| message.role).collect();
        prop_assert!(roles.iter().step_by(2).all(|role| *role == provider::Role::User), "{roles:?}");
        prop_assert!(roles.iter().skip(1).step_by(2).all(|role| *role == provider::Role::Model), "{roles:?}");
        prop_assert_eq!(roles.len() % 2, 1, "the last one is the user's");
        let sent = texts(&sent);
        prop_assert_eq!(sent.last().map(String::as_str), Some("new"));
        for answer in history.iter().filter(|message| message.role == Role::Assistant) {
            let is_blocked = answer.is_blocked() && answer.status == TurnStatus::Incomplete;
            if is_blocked || (answer.status == TurnStatus::Failed && answer.content.is_empty()) {
                let question = format!("q{}", answer.seq / 2 - 1);
                prop_assert!(!sent.contains(&question), "{question} is in {sent:?}");
            }
        }
    }
}

fn with_picture(mut message: Message, bytes: usize) -> Message {
    let (mime_type, data) = (Some("image/jpeg".to_owned()), Some("A".repeat(bytes)));
    message.parts.push(Part::Image { mime_type, data, file_id: None });
    message
}

#[test]
fn image_over_budget_leaves_its_text() {
    let photo = with_picture(message(3, Role::User, "What is this?"), CONTEXT_BYTES + 1);
    let history = newest(vec![
        message(1, Role::User, "I like birds"),
        message(2, Role::Assistant, "So do I"),
        photo,
        message(4, Role::Assistant, "A heron"),
    ]);
    let new = [Part::Text { text: "Where does it live?".to_owned() }];
    assert_eq!(
        texts(&prompt(&history, &new, 1_000)),
        ["I like birds", "So do I", "What is this?", "[image]", "A heron", "Where does it live?"]
    );
    assert!(history.iter().map(Message::content_bytes).sum::<usize>() <= CONTEXT_BYTES);
}

#[test]
fn newest_images_are_kept() {
    let message = |seq| with_picture(message(seq, Role::User, "Look"), CONTEXT_BYTES / 2 - 8);
    let history = newest((1..=4).map(message).collect());
    let pictures = |message: &Message| message.content_bytes() > 8;
    assert_eq!(history.iter().map(pictures).collect::<Vec<_>>(), [false, false, true, true]);
    let sent = prompt(&history, &[], 10_000);
    let sent = sent.iter().flat_map(|message| &message.parts);
    let inline = sent.map(|part| matches!(part, ContentPart::InlineImage { .. }));
    assert_eq!(inline.collect::<Vec<_>>(), [false, false, false, false, false, true, false, true]);
}

proptest! {
    #[test]
    fn context_is_newest_run_within_budget(sizes in prop::collection::vec(0usize..60_000, 0..80)) {
        let all: Vec<Message> = sizes
            .iter()
            .zip(1..)
            .map(|(size, seq)| message(seq, Role::User, &"x".repeat(*size)))
            .collect();
        let kept = newest(all.clone());
        prop_assert!(kept.len() <= CONTEXT_MESSAGES);
        prop_assert!(kept.iter().map(|m| m.content.len()).sum::<usize>() <= CONTEXT_BYTES);
        prop_assert_eq!(&all[all.len() - kept.len()..], kept.as_slice());
        if let Some(next) = all.len().checked_sub(kept.len() + 1).and_then(|at| all.get(at)) {
            let with_next = kept.iter().map(|m| m.content.len()).sum::<usize>() + next.content.len();
            prop_assert!(kept.len() == CONTEXT_MESSAGES || with_next > CONTEXT_BYTES);
        }
    }
}

fn context_of(messages: Vec<Message>) -> ConversationContext {
    let last = messages.last();
    let head = Head {
        message_id: last.map(|message| message.id),
        mark: last.map(|message| message.turn_id),
        turn_id: last.map(|message| message.turn_id),
    };
    ConversationContext {
        conversation_id: id(0, 0),
        model: None,
        system: None,
        last_seq: last.map_or(0, |message| message.seq),
        head,
        children: Vec::new(),
        messages,
    }
}

#[test]
fn row_of_context_reads_back_or_is_none_when_too_large() {
    let picture = with_picture(message(1, Role::User, "Look"), 1_000);
    let context =
        context_of(vec![picture, message(2, Role::Assistant, "A heron"), message(3, Role::Assistant, "")]);
    let row = to_row(&context).unwrap();
    assert_eq!(row.matches("heron").count(), 1);
    assert_eq!(from_row(&row), Some(context));
    assert_eq!(from_row("{}"), None);
    // Each of these characters takes six bytes in JSON, so that a full context does not fit a row.
    let text = "\u{1}".repeat(CONTEXT_BYTES);
    assert_eq!(to_row(&context_of(newest(vec![message(1, Role::User, &text)]))), None);
}

fn id(turn: u8, of: u8) -> Id {
    Id::new(Timestamp::from_millis(i64::from(turn)), [of; 10])
}

/// The question and the answer of turn `n`, from 1 on, which follow this message.
fn turn_after(n: u8, parent_id: Option<Id>) -> TurnRecord {
    let of_turn = |of: u8, parent_id, role, text: &str| Message {
        id: id(n, of),
        turn_id: id(n, 0),
        parent_id,
        siblings: vec![id(n, of)],
        ..message(u64::from(2 * (n - 1) + of), role, text)
    };
    let messages = vec![
        of_turn(1, parent_id, Role::User, &format!("question {n}")),
        of_turn(2, Some(id(n, 1)), Role::Assistant, &format!("answer {n}")),
    ];
    TurnRecord {
        turn_id: id(n, 0),
        user_id: id(0, 0),
        conversation_id: id(0, 0),
        kind: TurnKind::Reply,
        head_before: parent_id,
        messages: TurnMessages::new(messages).unwrap(),
        model: "fast".to_owned(),
        usage: Usage::default(),
        prompt_tokens: 0,
        error: None,
        persisted: false,
        created_at: Timestamp::from_millis(i64::from(n)),
        finished_at: Some(Timestamp::from_millis(i64::from(n))),
        reset_id: None,
        trace: None,
    }
}

/// Turn `n` of a conversation without forks.
fn turn(n: u8) -> TurnRecord {
    turn_after(n, n.checked_sub(1).filter(|before| *before > 0).map(|before| id(before, 2)))
}

fn all(turns: &[TurnRecord]) -> Vec<Message> {
    turns.iter().flat_map(|turn| turn.messages.iter().cloned()).collect()
}

/// Another answer to what was asked in turn `of`.
fn regenerated(n: u8, of: u8, head_before: Id) -> TurnRecord {
    let mut turn = turn_after(n, Some(id(of, 1)));
    let mut answer = turn.messages.answer().clone();
    answer.parent_id = Some(id(of, 1));
    turn.messages = TurnMessages::new(vec![answer]).unwrap();
    TurnRecord { kind: TurnKind::Regenerate, head_before: Some(head_before), ..turn }
}

proptest! {
    /// Any part of a conversation at the origin, and the rest delivered in any order.
    #[test]
    fn merge_in_any_order_keeps_each_turn_once_in_place(
        at_origin in prop::collection::vec(any::<bool>(), 8),
        order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let turns: Vec<_> = (1..=8u8).map(turn).collect();
        let known: Vec<_> = turns.iter().zip(&at_origin).filter(|(_, there)| **there).map(|(turn, _)| turn.clone()).collect();
        let mut context = context_of(all(&known));
        for n in order {
            prop_assert!(merge(&mut context, &turns[n]));
            prop_assert!(merge(&mut context, &turns[n]));
        }
        prop_assert_eq!(context.messages, all(&turns));
        prop_assert_eq!((context.last_seq, context.head.message_id), (16, Some(id(8, 2))));
    }
}

#[test]
fn merge_of_regenerated_answer_replaces_first() {
    let turns: Vec<_> = (1..=3u8).map(turn).collect();
    let mut context = context_of(all(&turns));
    let again = regenerated(4, 2, id(3, 2));
    assert!(merge(&mut context, &again));
    let mut expected = all(&turns[..2]);
    expected.pop();
    expected.push(again.messages.answer().clone());
    assert_eq!(context.messages, expected);
    assert_eq!(context.head.message_id, Some(id(4, 2)));
    // A turn that continues from there follows it.
    let next = turn_after(5, Some(id(4, 2)));
    assert!(merge(&mut context, &next));
    expected.extend(next.messages.iter().cloned());
    assert_eq!((context.messages, context.last_seq), (expected, 10));
}

#[test]
fn merge_of_turn_in_hidden_branch_changes_nothing() {
    let turns: Vec<_> = (1..=3u8).map(turn).collect();
    let mut context = context_of(all(&turns));
    let again = regenerated(4, 2, id(3, 2));
    assert!(merge(&mut context, &again));
    // The user chooses the first answer, and the origin returns that branch.
    let mut context = ConversationContext { last_seq: 6, ..context_of(all(&turns)) };
    context.head =
        Head { turn_id: Some(id(4, 0)), ..context.head.moved_by_user(Timestamp::from_millis(9), id(3, 2)) };
    assert!(!merge(&mut context, &again));
    assert_eq!((context.messages, context.last_seq), (all(&turns), 8));
}

#[test]
fn merge_after_head_was_moved_back_continues_there() {
    let turns: Vec<_> = (1..=3u8).map(turn).collect();
    let mut context = context_of(all(&turns[..1]));
    context.head = context.head.moved_by_user(Timestamp::from_millis(3), id(1, 2));
    context.children = vec![id(2, 1)];
    let next = turn_after(4, Some(id(1, 2)));
    assert!(merge(&mut context, &next));
    assert_eq!(context.messages, all(&[turns[0].clone(), next]));
    assert!(context.children.is_empty());
}
