//! The suite of the chats port.

use std::sync::Arc;

use shared::{
    api::{
        chat::{
            Conversation, FinishReason, Message, Part, Role, ToolCall, TurnCode, TurnError, TurnKind,
            TurnStatus, UpdateConversation,
        },
        error::ErrorCode,
        internal::CONTEXT_MESSAGES,
        page::Order,
    },
    id::Id,
};

use super::{
    at_once,
    samples::{START, at, conversation, delivery, id, question_of, updated},
};
use crate::store::{
    Chats,
    chats::{ActivityPosition, ConversationsPage, MessagesPage, Scope, Updated},
};

/// The cases; `$open` is a fresh store and what keeps it alive. `but races` leaves out those with many writers at once,
/// for servers whose updates are not atomic, and those of long paths, as the same servers look through all messages for each.
macro_rules! suite {
    ($open:expr) => {
        $crate::store::contract::chats::suite!(but races: $open);
        $crate::store::contract::run_suite! { chats on $open;
            a_delivery_is_stored_once_however_often_it_comes
            deliveries_at_once_all_find_a_place
        }
        $crate::store::contract::run_suite! { heads on $open;
            turns_and_choices_at_once_end_with_the_newest
        }
        $crate::store::contract::run_suite! { trees on $open;
            one_of_many_children_at_once_stays_in_the_branch
            a_path_of_ten_thousand_messages_is_read_from_both_ends
            a_path_of_many_forks_is_read_by_pages
        }
        $crate::store::contract::run_suite! { changes on $open;
            a_follower_sees_what_many_writers_wrote
            followers_at_once_agree_on_the_order
        }
    };
    (but races: $open:expr) => {
        $crate::store::contract::run_suite! { chats on $open;
            a_conversation_is_read_back_as_written
            creating_again_changes_nothing
            somebody_elses_is_absent
            an_update_changes_what_it_names
            conversations_come_by_activity
            a_page_goes_on_where_the_last_ended_whatever_is_inserted
            archived_ones_can_be_told_apart
            deleting_takes_everything
            a_turn_is_read_back_as_written
            names_of_a_newer_version_are_kept
            messages_come_by_seq_both_ways
            a_taken_place_moves_a_message_to_the_end
            a_late_delivery_sets_nothing_back
            an_id_of_another_conversation_is_a_conflict
            the_context_is_the_newest_in_order
        }
        $crate::store::contract::run_suite! { pages on $open;
            a_page_tells_whether_there_is_more
            large_messages_make_short_pages
            one_message_is_a_page_however_large
            a_context_has_the_newest_that_fit
            a_context_reads_no_more_than_its_bound
        }
        $crate::store::contract::run_suite! { trees on $open;
            two_children_of_one_parent_are_branches
            a_branch_grows_and_forks_again
            a_turn_of_five_messages_is_applied_once
            a_parent_that_arrives_late_stands_before_its_child
            children_of_a_parent_that_is_not_there_are_branches
            deleting_takes_every_branch
        }
        $crate::store::contract::run_suite! { heads on $open;
            the_head_is_what_the_user_chose
            a_head_that_is_no_message_changes_nothing
            a_late_delivery_moves_no_head_that_was_chosen_meanwhile
            a_delivery_to_the_head_that_was_chosen_goes_on_from_there
        }
        $crate::store::contract::run_suite! { changes on $open;
            every_kind_of_change_has_a_later_place
            what_changed_twice_is_told_as_it_is_now
            deleted_ones_are_told_of
            changes_of_others_are_never_told
            pages_go_on_by_the_last_place
            repeating_a_deletion_tells_of_nothing_else
        }
    };
}
pub(super) use suite;

type Store = Arc<dyn Chats>;

const OWNER: u32 = 1;
const OTHER: u32 = 2;

async fn open(store: &Store, number: u32) -> Conversation {
    let conversation = conversation(number, at(i64::from(number)));
    store.create_conversation(id(OWNER), conversation.clone()).await.unwrap();
    conversation
}

async fn listed(
    store: &Store,
    archived: Option<bool>,
    after: Option<ActivityPosition>,
    limit: u32,
) -> Vec<Conversation> {
    store.conversations(id(OWNER), ConversationsPage { archived, after, limit }).await.unwrap()
}

fn ids(conversations: &[Conversation]) -> Vec<Id> {
    conversations.iter().map(|conversation| conversation.id).collect()
}

async fn paged(
    store: &Store,
    conversation: Id,
    order: Order,
    after: Option<u64>,
    limit: u32,
) -> Vec<Message> {
    let page = MessagesPage { scope: Scope::Shown, order, after, limit };
    store.messages(id(OWNER), conversation, page).await.unwrap().unwrap().items
}

async fn all(store: &Store, conversation: Id) -> Vec<Message> {
    paged(store, conversation, Order::Asc, None, 1_000).await
}

async fn arrived(store: &Store, conversation: Id) -> Vec<Message> {
    let page = MessagesPage { scope: Scope::Arrived, order: Order::Asc, after: None, limit: 1_000 };
    store.messages(id(OWNER), conversation, page).await.unwrap().unwrap().items
}

fn places(messages: &[Message]) -> Vec<(u64, &str)> {
    messages.iter().map(|message| (message.seq, message.content.as_str())).collect()
}

pub(super) async fn a_conversation_is_read_back_as_written(store: Store) {
    store.ping().await.unwrap();
    let full = open(&store, 10).await;
    assert_eq!(store.conversation(id(OWNER), full.id).await.unwrap(), Some(full));
    let bare = Conversation { title: None, model: None, system: None, ..conversation(11, START) };
    store.create_conversation(id(OWNER), bare.clone()).await.unwrap();
    assert_eq!(store.conversation(id(OWNER), bare.id).await.unwrap(), Some(bare));
}

pub(super) async fn creating_again_changes_nothing(store: Store) {
    let first = open(&store, 10).await;
    let again = Conversation { title: Some("Other".to_owned()), ..first.clone() };
    store.create_conversation(id(OWNER), again.clone()).await.unwrap();
    assert_eq!(store.conversation(id(OWNER), first.id).await.unwrap(), Some(first));
    let error = store.create_conversation(id(OTHER), again).await.unwrap_err();
    assert_eq!(error.kind(), "conflict");
}

pub(super) async fn somebody_elses_is_absent(store: Store) {
    let theirs = open(&store, 10).await;
    let turn = delivery(id(OWNER), theirs.id, 1, 1);
    store.record_turn(turn.clone()).await.unwrap().unwrap();
    for (user, conversation) in [(id(OTHER), theirs.id), (id(OWNER), id(999))] {
        assert!(store.conversation(user, conversation).await.unwrap().is_none());
        let update = UpdateConversation { pinned: Some(true), ..UpdateConversation::default() };
        let outcome = store.update_conversation(user, conversation, update, at(5)).await.unwrap();
        assert_eq!(outcome, Updated::Absent);
        let page = MessagesPage { scope: Scope::Shown, order: Order::Asc, after: None, limit: 10 };
        assert!(store.messages(user, conversation, page).await.unwrap().is_none());
        assert!(store.context(user, conversation).await.unwrap().is_none());
        assert!(store.record_turn(delivery(user, conversation, 2, 3)).await.unwrap().is_none());
        assert!(!store.delete_conversation(user, conversation).await.unwrap());
    }
    assert!(store.turn(id(OTHER), turn.turn_id).await.unwrap().is_none());
    assert!(store.turn(id(OWNER), id(999)).await.unwrap().is_none());
    let page = ConversationsPage { archived: None, after: None, limit: 10 };
    assert!(store.conversations(id(OTHER), page).await.unwrap().is_empty());
    assert_eq!(all(&store, theirs.id).await.len(), 2);
}

pub(super) async fn an_update_changes_what_it_names(store: Store) {
    let first = open(&store, 10).await;
    let update = UpdateConversation {
        title: Some(None),
        pinned: Some(true),
        system: Some(Some("New".to_owned())),
        ..UpdateConversation::default()
    };
    let expected = Conversation {
        title: None,
        pinned: true,
        system: Some("New".to_owned()),
        updated_at: at(777),
        ..first.clone()
    };
    for _ in 0..2 {
        let changed = store.update_conversation(id(OWNER), first.id, update.clone(), at(777)).await.unwrap();
        assert_eq!(updated(changed), Some(expected.clone()));
    }
    assert_eq!(store.conversation(id(OWNER), first.id).await.unwrap(), Some(expected.clone()));
    let nothing = UpdateConversation::default();
    let unchanged = store.update_conversation(id(OWNER), first.id, nothing, at(700)).await.unwrap();
    assert_eq!(updated(unchanged), Some(expected));
}

pub(super) async fn conversations_come_by_activity(store: Store) {
    let oldest = open(&store, 10).await;
    let newest = open(&store, 11).await;
    // As old as `newest`, with a smaller id.
    let twin = Conversation { id: id(5), ..newest.clone() };
    store.create_conversation(id(OWNER), twin.clone()).await.unwrap();
    assert_eq!(ids(&listed(&store, None, None, 10).await), [newest.id, twin.id, oldest.id]);
    let pin = UpdateConversation { pinned: Some(true), ..UpdateConversation::default() };
    store.update_conversation(id(OWNER), twin.id, pin, at(90_000)).await.unwrap();
    assert_eq!(ids(&listed(&store, None, None, 10).await), [newest.id, twin.id, oldest.id]);
    store.record_turn(delivery(id(OWNER), oldest.id, 1, 1)).await.unwrap();
    assert_eq!(ids(&listed(&store, None, None, 10).await), [oldest.id, newest.id, twin.id]);
}

pub(super) async fn a_page_goes_on_where_the_last_ended_whatever_is_inserted(store: Store) {
    for number in 10..17 {
        // Pairs share their time, so that pages end within a tie, too.
        let conversation = conversation(number, at(i64::from(number / 2)));
        store.create_conversation(id(OWNER), conversation).await.unwrap();
    }
    let expected: Vec<_> = (10..17).rev().map(id).collect();
    let (mut seen, mut after) = (Vec::new(), None);
    for round in 0_u32.. {
        let page = listed(&store, None, after, 2).await;
        let Some(last) = page.last() else { break };
        after = Some(ActivityPosition::of(last));
        seen.extend(ids(&page));
        store.create_conversation(id(OWNER), conversation(100 + round, at(1_000))).await.unwrap();
    }
    assert_eq!(seen, expected);
}

pub(super) async fn archived_ones_can_be_told_apart(store: Store) {
    for number in 10..14 {
        open(&store, number).await;
    }
    let archive = UpdateConversation { archived: Some(true), ..UpdateConversation::default() };
    for number in [11, 12] {
        store.update_conversation(id(OWNER), id(number), archive.clone(), at(50)).await.unwrap();
    }
    assert_eq!(ids(&listed(&store, Some(true), None, 10).await), [id(12), id(11)]);
    assert_eq!(ids(&listed(&store, Some(false), None, 10).await), [id(13), id(10)]);
    assert_eq!(listed(&store, None, None, 10).await.len(), 4);
    let first = listed(&store, Some(true), None, 1).await;
    let rest = listed(&store, Some(true), first.last().map(ActivityPosition::of), 1).await;
    assert_eq!(ids(&rest), [id(11)]);
}

pub(super) async fn deleting_takes_everything(store: Store) {
    let first = open(&store, 10).await;
    let other = open(&store, 11).await;
    let turn = delivery(id(OWNER), first.id, 1, 1);
    store.record_turn(turn.clone()).await.unwrap();
    store.record_turn(delivery(id(OWNER), other.id, 2, 1)).await.unwrap();
    assert!(store.delete_conversation(id(OWNER), first.id).await.unwrap());
    assert!(!store.delete_conversation(id(OWNER), first.id).await.unwrap());
    assert!(store.conversation(id(OWNER), first.id).await.unwrap().is_none());
    assert!(store.turn(id(OWNER), turn.turn_id).await.unwrap().is_none());
    assert_eq!(store.record_turn(turn).await.unwrap(), None);
    // A repetition that was on its way brings nothing back.
    store.create_conversation(id(OWNER), first).await.unwrap();
    assert_eq!(ids(&listed(&store, None, None, 10).await), [other.id]);
    assert_eq!(all(&store, other.id).await.len(), 2);
}

pub(super) async fn names_of_a_newer_version_are_kept(store: Store) {
    let conversation = open(&store, 10).await;
    let mut turn = delivery(id(OWNER), conversation.id, 1, 1);
    let status = TurnStatus::parse("paused_by_the_model").unwrap();
    turn.status = status;
    turn.kind = TurnKind::parse("imagine").unwrap();
    turn.error =
        Some(TurnError { code: TurnCode::parse("out_of_patience").unwrap(), detail: "Enough".to_owned() });
    question_of(&mut turn).role = Role::parse("moderator").unwrap();
    turn.messages.answer_mut().status = status;
    turn.messages.answer_mut().finish_reason = FinishReason::parse("had_enough");
    assert_eq!(store.record_turn(turn.clone()).await.unwrap(), Some(2));
    let stored = store.turn(id(OWNER), turn.turn_id).await.unwrap().unwrap();
    assert_eq!((stored.kind, &stored.messages, &stored.error), (turn.kind, &turn.messages, &turn.error));
    assert_eq!(all(&store, conversation.id).await, turn.messages.into_vec());
}

pub(super) async fn a_turn_is_read_back_as_written(store: Store) {
    let conversation = open(&store, 10).await;
    let mut turn = delivery(id(OWNER), conversation.id, 1, 1);
    turn.status = TurnStatus::Failed;
    turn.error =
        Some(TurnError { code: ErrorCode::ProviderTimeout.into(), detail: "Too slow 🐌".to_owned() });
    question_of(&mut turn).parts = vec![
        Part::Text { text: "question ".to_owned() },
        Part::Image { mime_type: Some("image/png".to_owned()), data: Some("AAAA".to_owned()), file_id: None },
        Part::Text { text: "1".to_owned() },
    ];
    let answer = turn.messages.answer_mut();
    answer.status = TurnStatus::Failed;
    answer.content = String::new();
    answer.parts = Vec::new();
    answer.usage = None;
    answer.finish_reason = None;
    answer.tool_calls = vec![ToolCall {
        id: "call-1".to_owned(),
        name: "weather".to_owned(),
        arguments: serde_json::json!({"city": "Zürich", "days": [1, 2.5, null]}),
        result: Some(serde_json::json!({"sky": "blue"})),
        error: None,
        started_at: at(3),
        duration_ms: Some(12),
    }];
    assert_eq!(store.record_turn(turn.clone()).await.unwrap(), Some(2));
    let stored = store.turn(id(OWNER), turn.turn_id).await.unwrap().unwrap();
    assert_eq!(stored.messages, turn.messages);
    assert_eq!((stored.last_event_id, stored.finished_at, stored.error), (17, turn.finished_at, turn.error));
    assert_eq!((stored.kind, stored.usage, stored.created_at), (turn.kind, turn.usage, turn.created_at));
    assert_eq!(all(&store, conversation.id).await, turn.messages.into_vec());
    // An answer without words leaves the question as what was said last.
    let after = store.conversation(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(after.last_message_preview.as_deref(), Some("question 1"));
}

pub(super) async fn messages_come_by_seq_both_ways(store: Store) {
    let conversation = open(&store, 10).await;
    for number in 1..=3 {
        store
            .record_turn(delivery(id(OWNER), conversation.id, number, u64::from(2 * number - 1)))
            .await
            .unwrap();
    }
    let seqs = |messages: Vec<Message>| messages.iter().map(|message| message.seq).collect::<Vec<_>>();
    assert_eq!(seqs(paged(&store, conversation.id, Order::Asc, None, 4).await), [1, 2, 3, 4]);
    assert_eq!(seqs(paged(&store, conversation.id, Order::Desc, None, 2).await), [6, 5]);
    store.record_turn(delivery(id(OWNER), conversation.id, 4, 7)).await.unwrap();
    assert_eq!(seqs(paged(&store, conversation.id, Order::Asc, Some(4), 4).await), [5, 6, 7, 8]);
    assert_eq!(seqs(paged(&store, conversation.id, Order::Desc, Some(5), 9).await), [4, 3, 2, 1]);
    assert!(paged(&store, conversation.id, Order::Asc, Some(8), 9).await.is_empty());
    assert!(paged(&store, conversation.id, Order::Desc, Some(1), 9).await.is_empty());
    assert!(paged(&store, conversation.id, Order::Asc, Some(u64::MAX), 9).await.is_empty());
}

pub(super) async fn a_delivery_is_stored_once_however_often_it_comes(store: Store) {
    let conversation = open(&store, 10).await;
    let turn = delivery(id(OWNER), conversation.id, 1, 1);
    let highest = at_once(10, |_| {
        let (store, turn) = (Arc::clone(&store), turn.clone());
        async move { store.record_turn(turn).await.unwrap() }
    })
    .await;
    assert!(highest.iter().all(|seq| *seq == Some(2)), "{highest:?}");
    assert_eq!(all(&store, conversation.id).await, turn.messages.clone().into_vec());
    let after = store.conversation(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(after.message_count, 2);
    assert_eq!(after.last_message_preview.as_deref(), Some("answer 1"));
    assert_eq!(after.last_message_at, Some(turn.messages.answer().created_at));
    assert_eq!(after.updated_at, turn.finished_at);
}

pub(super) async fn a_taken_place_moves_a_message_to_the_end(store: Store) {
    let conversation = open(&store, 10).await;
    store.record_turn(delivery(id(OWNER), conversation.id, 1, 1)).await.unwrap();
    let second = delivery(id(OWNER), conversation.id, 2, 2);
    for _ in 0..2 {
        assert_eq!(store.record_turn(second.clone()).await.unwrap(), Some(4));
    }
    let expected = [(1, "question 1"), (2, "answer 1"), (3, "question 2"), (4, "answer 2")];
    assert_eq!(places(&all(&store, conversation.id).await), expected);
    // A delivery that names no place at all gets one, too.
    assert_eq!(store.record_turn(delivery(id(OWNER), conversation.id, 3, 0)).await.unwrap(), Some(6));
    let stored = store.turn(id(OWNER), second.turn_id).await.unwrap().unwrap();
    assert_eq!((stored.messages.first().seq, stored.messages.answer().seq), (3, 4));
}

pub(super) async fn deliveries_at_once_all_find_a_place(store: Store) {
    let conversation = open(&store, 10).await;
    at_once(16, |index| {
        let (store, conversation) = (Arc::clone(&store), conversation.id);
        async move {
            let number = u32::try_from(index).unwrap() + 1;
            store.record_turn(delivery(id(OWNER), conversation, number, 1)).await.unwrap().unwrap()
        }
    })
    .await;
    // Whatever the tree looks like when they come before those that they follow.
    let messages = arrived(&store, conversation.id).await;
    let seqs: Vec<_> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=32).collect::<Vec<_>>());
    for number in 1..=16 {
        let place = |text: String| messages.iter().find(|message| message.content == text).unwrap().seq;
        assert!(place(format!("question {number}")) < place(format!("answer {number}")));
    }
    let after = store.conversation(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(after.message_count, 32);
}

pub(super) async fn a_late_delivery_sets_nothing_back(store: Store) {
    let conversation = open(&store, 10).await;
    let early = delivery(id(OWNER), conversation.id, 1, 1);
    let late = delivery(id(OWNER), conversation.id, 2, 3);
    assert_eq!(store.record_turn(late.clone()).await.unwrap(), Some(4));
    assert_eq!(store.record_turn(early).await.unwrap(), Some(4));
    let after = store.conversation(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(after.message_count, 4);
    assert_eq!(after.last_message_preview.as_deref(), Some("answer 2"));
    assert_eq!(after.last_message_at, Some(late.messages.answer().created_at));
    assert_eq!(after.updated_at, late.finished_at);
    let expected = [(1, "question 1"), (2, "answer 1"), (3, "question 2"), (4, "answer 2")];
    assert_eq!(places(&all(&store, conversation.id).await), expected);
}

pub(super) async fn an_id_of_another_conversation_is_a_conflict(store: Store) {
    let first = open(&store, 10).await;
    let second = open(&store, 11).await;
    store.record_turn(delivery(id(OWNER), first.id, 1, 1)).await.unwrap();
    let error = store.record_turn(delivery(id(OWNER), second.id, 1, 1)).await.unwrap_err();
    assert_eq!(error.kind(), "conflict");
    assert!(all(&store, second.id).await.is_empty());
    assert_eq!(store.conversation(id(OWNER), second.id).await.unwrap(), Some(second));
}

pub(super) async fn the_context_is_the_newest_in_order(store: Store) {
    let conversation = open(&store, 10).await;
    let empty = store.context(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!((empty.last_seq, empty.messages.len()), (0, 0));
    assert_eq!((empty.model, empty.system), (conversation.model.clone(), conversation.system.clone()));
    let turns = u32::try_from(CONTEXT_MESSAGES).unwrap() / 2 + 1;
    for number in 1..=turns {
        store
            .record_turn(delivery(id(OWNER), conversation.id, number, u64::from(2 * number - 1)))
            .await
            .unwrap();
    }
    let context = store.context(id(OWNER), conversation.id).await.unwrap().unwrap();
    assert_eq!(context.messages, all(&store, conversation.id).await[2..]);
    assert_eq!((context.conversation_id, context.last_seq), (conversation.id, u64::from(2 * turns)));
}
