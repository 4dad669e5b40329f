//! The tree of messages.

use std::{collections::BTreeSet, sync::Arc};

use shared::{
    api::{
        chat::{Message, Role, ToolCall, TurnKind, UpdateConversation},
        internal::{MAX_TURN_MESSAGES, TurnDelivery, TurnMessages},
        page::Order,
    },
    id::Id,
    time::Timestamp,
};

use super::{OWNER, Store, lifecycle::purge};
use crate::store::{
    chats::{Messages, MessagesPage, Scope, Updated},
    contract::{
        at_once,
        samples::{START, at, conversation, delivery, delivery_after, id, updated},
    },
};

pub(super) const HERE: u32 = 10;
/// More than any path here has but one.
pub(super) const ALL: u32 = 1_000;

async fn open(store: &Store) -> Id {
    store.create_conversation(id(OWNER), conversation(HERE, START)).await.unwrap();
    id(HERE)
}

pub(super) async fn page(
    store: &Store,
    scope: Scope,
    order: Order,
    after: Option<u64>,
    limit: u32,
) -> Messages {
    let page = MessagesPage { scope, order, after, limit };
    store.messages(id(OWNER), id(HERE), page).await.unwrap().unwrap()
}

/// The branch that is shown, read up and down, by pages of several sizes.
pub(super) async fn shown(store: &Store) -> Vec<Message> {
    let all = page(store, Scope::Shown, Order::Asc, None, ALL).await.items;
    for order in [Order::Asc, Order::Desc] {
        for limit in [1, 3] {
            let (mut read, mut has_more) = (Vec::<Message>::new(), true);
            while has_more {
                let after = read.last().map(|last| last.seq);
                let next = page(store, Scope::Shown, order, after, limit).await;
                has_more = next.has_more;
                read.extend(next.items);
            }
            if order == Order::Desc {
                read.reverse();
            }
            assert_eq!(read, all, "{order:?} by {limit}");
        }
    }
    all
}

pub(super) fn words(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.content.as_str()).collect()
}

pub(super) async fn record(store: &Store, turn: &TurnDelivery) {
    store.record_turn(turn.clone()).await.unwrap().unwrap();
}

pub(super) async fn head(store: &Store) -> Option<Id> {
    store.conversation(id(OWNER), id(HERE)).await.unwrap().unwrap().head_id
}

pub(super) async fn choose(store: &Store, message: Id, now: Timestamp) -> Updated {
    let update = UpdateConversation { head_id: Some(message), ..UpdateConversation::default() };
    store.update_conversation(id(OWNER), id(HERE), update, now).await.unwrap()
}

/// Turn `number` in a conversation of so many messages, which follows this one; it began after all before it.
pub(super) fn turn(number: u32, after: Option<Id>, seq: u64) -> TurnDelivery {
    delivery_after(after, id(OWNER), id(HERE), number, seq)
}

/// The answer of a turn.
pub(super) fn answer(number: u32) -> Id {
    id(10 * number + 1)
}

/// The question of a turn.
pub(super) fn question(number: u32) -> Id {
    id(10 * number)
}

/// Turn `number`: another answer to what was asked in turn `of`, while this message was the head.
pub(super) fn regenerated(number: u32, of: u32, head_before: Id, seq: u64) -> TurnDelivery {
    let mut turn = turn(number, None, seq);
    let mut message = turn.messages.answer().clone();
    message.parent_id = Some(question(of));
    message.seq = seq;
    turn.messages = TurnMessages::new(vec![message]).unwrap();
    TurnDelivery { kind: TurnKind::Regenerate, head_before: Some(head_before), ..turn }
}

/// Turns 1 to `turns`, each after the one before.
pub(super) async fn talk(store: &Store, turns: u32) {
    open(store).await;
    for number in 1..=turns {
        record(store, &delivery(id(OWNER), id(HERE), number, u64::from(2 * number - 1))).await;
    }
}

pub(in crate::store::contract) async fn children_of_one_parent_are_branches(store: Store) {
    talk(&store, 2).await;
    assert_eq!(head(&store).await, Some(answer(2)));
    // The second question in other words, and a second answer to the first.
    let mut edit = turn(3, Some(answer(1)), 5);
    edit.kind = TurnKind::Edit;
    edit.head_before = Some(answer(2));
    record(&store, &edit).await;
    let path = shown(&store).await;
    assert_eq!(words(&path), ["question 1", "answer 1", "question 3", "answer 3"]);
    assert_eq!(path.iter().map(|message| message.seq).collect::<Vec<_>>(), [1, 2, 5, 6]);
    assert_eq!(path[2].siblings, [question(2), question(3)]);
    assert_eq!((&path[0].siblings, &path[3].siblings), (&vec![question(1)], &vec![answer(3)]));
    assert_eq!(head(&store).await, Some(answer(3)));

    record(&store, &regenerated(4, 1, answer(3), 7)).await;
    let path = shown(&store).await;
    assert_eq!(words(&path), ["question 1", "answer 4"]);
    assert_eq!(path[1].siblings, [answer(1), answer(4)]);
    let stored = store.turn(id(OWNER), id(100_004)).await.unwrap().unwrap();
    assert_eq!((stored.kind, stored.messages.question()), (TurnKind::Regenerate, None));
    assert_eq!(stored.messages.answer().siblings, [answer(1), answer(4)]);

    // Another beginning.
    let mut beginning = turn(5, None, 8);
    beginning.head_before = Some(answer(4));
    record(&store, &beginning).await;
    let path = shown(&store).await;
    assert_eq!(words(&path), ["question 5", "answer 5"]);
    assert_eq!(path[0].siblings, [question(1), question(5)]);
    // All of it is there in the order of arrival.
    let arrived = page(&store, Scope::Arrived, Order::Asc, None, ALL).await.items;
    assert_eq!(arrived.iter().map(|message| message.seq).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    let since = page(&store, Scope::Arrived, Order::Asc, Some(4), 3).await;
    assert_eq!((words(&since.items), since.has_more), (vec!["question 3", "answer 3", "answer 4"], true));
    let before = page(&store, Scope::Arrived, Order::Desc, Some(3), ALL).await;
    assert_eq!((words(&before.items), before.has_more), (vec!["answer 1", "question 1"], false));
    let now = store.conversation(id(OWNER), id(HERE)).await.unwrap().unwrap();
    assert_eq!((now.message_count, now.last_message_preview.as_deref()), (9, Some("answer 5")));
}

pub(in crate::store::contract) async fn branch_grows_and_forks_again(store: Store) {
    talk(&store, 2).await;
    record(&store, &regenerated(3, 2, answer(2), 5)).await;
    record(&store, &turn(4, Some(answer(3)), 6)).await;
    record(&store, &regenerated(5, 4, answer(4), 8)).await;
    record(&store, &turn(6, Some(answer(5)), 9)).await;
    let expected = [
        "question 1",
        "answer 1",
        "question 2",
        "answer 3",
        "question 4",
        "answer 5",
        "question 6",
        "answer 6",
    ];
    assert_eq!(words(&shown(&store).await), expected);
    // After a switch to the first branch, the next turn follows there.
    assert!(updated(choose(&store, answer(2), at(60_000)).await).is_some());
    let mut next = turn(7, Some(answer(2)), 11);
    next.created_at = at(90_000);
    next.finished_at = at(90_001);
    record(&store, &next).await;
    assert_eq!(
        words(&shown(&store).await),
        ["question 1", "answer 1", "question 2", "answer 2", "question 7", "answer 7"]
    );
}

pub(in crate::store::contract) async fn turn_of_five_messages_is_applied_once(store: Store) {
    talk(&store, 1).await;
    let mut long = turn(2, Some(answer(1)), 3);
    let (first, last) = (long.messages.first().clone(), long.messages.answer().clone());
    let call = ToolCall {
        id: "call-1".to_owned(),
        name: "weather".to_owned(),
        arguments: serde_json::json!({ "city": "Zürich" }),
        result: None,
        error: None,
        started_at: at(2_100),
        duration_ms: None,
    };
    let result =
        ToolCall { result: Some(serde_json::json!({ "sky": "blue" })), duration_ms: Some(7), ..call.clone() };
    let mut messages = vec![first];
    for (n, role, call) in [(2_u32, Role::Assistant, call), (3, Role::Tool, result)] {
        let before = messages.last().unwrap();
        messages.push(Message {
            id: id(500 + n),
            parent_id: Some(before.id),
            siblings: vec![id(500 + n)],
            seq: before.seq + 1,
            role,
            content: format!("step {n}"),
            parts: Vec::new(),
            tool_calls: vec![call],
            ..last.clone()
        });
    }
    let again = Message {
        id: id(504),
        parent_id: Some(id(503)),
        siblings: vec![id(504)],
        seq: 6,
        ..messages[1].clone()
    };
    messages.push(again);
    let parent_id = Some(id(504));
    messages.push(Message { parent_id, seq: 7, ..last });
    long.messages = TurnMessages::new(messages.clone()).unwrap();
    assert_eq!(long.check(), Ok(()));
    for _ in 0..3 {
        assert_eq!(store.record_turn(long.clone()).await.unwrap(), Some(7));
        let path = shown(&store).await;
        assert_eq!(path[2..], messages);
        assert_eq!(path.len(), 7);
    }
    let stored = store.turn(id(OWNER), long.turn_id).await.unwrap().unwrap();
    assert_eq!((stored.messages, stored.usage), (long.messages.clone(), long.usage));
    let now = store.conversation(id(OWNER), id(HERE)).await.unwrap().unwrap();
    assert_eq!((now.head_id, now.message_count), (Some(answer(2)), 7));
    assert_eq!(now.last_message_preview.as_deref(), Some("answer 2"));
    record(&store, &turn(3, Some(answer(2)), 8)).await;
    assert_eq!(shown(&store).await.len(), 9);
}

pub(in crate::store::contract) async fn late_parent_is_listed_before_child(store: Store) {
    talk(&store, 1).await;
    // Turn 2 is refused for a while, 3 and 4 are not.
    record(&store, &turn(3, Some(answer(2)), 5)).await;
    record(&store, &turn(4, Some(answer(3)), 7)).await;
    let without = ["question 1", "answer 1", "question 3", "answer 3", "question 4", "answer 4"];
    assert_eq!(words(&shown(&store).await), without);
    let context = store.context(id(OWNER), id(HERE), None).await.unwrap().unwrap();
    assert_eq!((words(&context.messages), context.last_seq), (without.to_vec(), 8));
    for _ in 0..2 {
        assert_eq!(store.record_turn(turn(2, Some(answer(1)), 3)).await.unwrap(), Some(8));
        let path = shown(&store).await;
        assert_eq!(path.iter().map(|message| message.seq).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
        let parents: Vec<_> = path.iter().skip(1).map(|message| message.parent_id).collect();
        assert_eq!(parents, path.iter().take(7).map(|message| Some(message.id)).collect::<Vec<_>>());
        assert_eq!(head(&store).await, Some(answer(4)));
    }
}

pub(in crate::store::contract) async fn children_of_a_parent_that_is_not_there_are_branches(store: Store) {
    talk(&store, 1).await;
    record(&store, &turn(3, Some(answer(2)), 5)).await;
    let mut edit = turn(4, Some(answer(2)), 7);
    edit.head_before = Some(answer(3));
    record(&store, &edit).await;
    assert_eq!(words(&shown(&store).await), ["question 1", "answer 1", "question 4", "answer 4"]);
    record(&store, &turn(2, Some(answer(1)), 3)).await;
    let whole = ["question 1", "answer 1", "question 2", "answer 2", "question 4", "answer 4"];
    let path = shown(&store).await;
    assert_eq!(words(&path), whole);
    assert_eq!(path[4].siblings, [question(3), question(4)]);
    let _ = updated(choose(&store, answer(3), at(60_000)).await).unwrap();
    let other = ["question 1", "answer 1", "question 2", "answer 2", "question 3", "answer 3"];
    assert_eq!(words(&shown(&store).await), other);
}

pub(in crate::store::contract) async fn deleting_takes_every_branch(store: Store) {
    talk(&store, 2).await;
    record(&store, &regenerated(3, 2, answer(2), 5)).await;
    assert!(store.delete_conversation(id(OWNER), id(HERE), at(500)).await.unwrap());
    assert_eq!(choose(&store, answer(2), at(60_000)).await, Updated::Absent);
    let wanted = MessagesPage { scope: Scope::Arrived, order: Order::Asc, after: None, limit: ALL };
    assert_eq!(store.messages(id(OWNER), id(HERE), wanted).await.unwrap(), None);
    // Its messages' ids are free again, once nothing brings them back.
    purge(store.as_ref(), at(500)).await;
    store.create_conversation(id(OWNER), conversation(11, START)).await.unwrap();
    let other_delivery = delivery_after(None, id(OWNER), id(11), 3, 1);
    assert_eq!(store.record_turn(other_delivery).await.unwrap(), Some(2));
}

pub(in crate::store::contract) async fn children_recorded_concurrently_leave_one_in_branch(store: Store) {
    const CHILDREN: u32 = 12;
    talk(&store, 1).await;
    at_once(2 * usize::try_from(CHILDREN).unwrap(), |index| {
        let store = Arc::clone(&store);
        async move {
            // Each of them twice.
            let number = 2 + u32::try_from(index).unwrap() % CHILDREN;
            store.record_turn(turn(number, Some(answer(1)), 3)).await.unwrap().unwrap();
        }
    })
    .await;
    let arrived = page(&store, Scope::Arrived, Order::Asc, None, ALL).await.items;
    let seqs: Vec<_> = arrived.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=u64::from(2 + 2 * CHILDREN)).collect::<Vec<_>>());
    let all: BTreeSet<_> = (2..2 + CHILDREN).map(question).collect();
    // The newest of them is shown, and each is one of all.
    assert_eq!(head(&store).await, Some(answer(1 + CHILDREN)));
    for number in 2..2 + CHILDREN {
        let _ = updated(choose(&store, answer(number), at(60_000)).await).unwrap();
        let path = shown(&store).await;
        let expected = [
            "question 1".to_owned(),
            "answer 1".to_owned(),
            format!("question {number}"),
            format!("answer {number}"),
        ];
        assert_eq!(words(&path), expected);
        assert_eq!(path[2].siblings.iter().copied().collect::<BTreeSet<_>>(), all);
    }
}

/// A path of so many messages, in turns as long as they may be.
async fn long_path(store: &Store, turns: u32) {
    open(store).await;
    let rounds = u32::try_from(MAX_TURN_MESSAGES).unwrap();
    let mut parent = None;
    for number in 1..=turns {
        let mut turn = turn(number, parent, 0);
        let (first, last) = (turn.messages.first().clone(), turn.messages.answer().clone());
        let mut messages = Vec::new();
        for n in 1..=rounds {
            let seq = u64::from((number - 1) * rounds + n);
            let spoken = if n == 1 { first.clone() } else { last.clone() };
            let id = if n == rounds { last.id } else { id(1_000_000 + number * rounds + n) };
            messages.push(Message { id, parent_id: parent, siblings: vec![id], seq, ..spoken });
            parent = Some(id);
        }
        turn.messages = TurnMessages::new(messages).unwrap();
        assert_eq!(turn.check(), Ok(()));
        assert_eq!(store.record_turn(turn).await.unwrap(), Some(u64::from(number * rounds)));
    }
}

pub(in crate::store::contract) async fn path_of_ten_thousand_messages_is_read_from_both_ends(store: Store) {
    const TURNS: u32 = 100;
    const LAST: u64 = 10_000;
    long_path(&store, TURNS).await;
    let seqs = |page: &Messages| page.items.iter().map(|message| message.seq).collect::<Vec<_>>();
    for (order, after, expected) in [
        (Order::Asc, None, 1..=20),
        (Order::Asc, Some(LAST - 20), LAST - 19..=LAST),
        (Order::Asc, Some(LAST / 2), LAST / 2 + 1..=LAST / 2 + 20),
        (Order::Desc, None, LAST - 19..=LAST),
        (Order::Desc, Some(21), 1..=20),
    ] {
        let page = page(&store, Scope::Shown, order, after, 20).await;
        let mut expected: Vec<_> = expected.collect();
        if order == Order::Desc {
            expected.reverse();
        }
        assert_eq!(seqs(&page), expected, "{order:?} {after:?}");
        assert_eq!(page.has_more, !expected.contains(&if order == Order::Asc { LAST } else { 1 }));
    }
    // A fork in the middle: the path is the first half and the new turn.
    let middle = page(&store, Scope::Shown, Order::Desc, Some(LAST / 2 + 1), 1).await.items.remove(0);
    let mut aside = turn(TURNS + 1, Some(middle.id), LAST + 1);
    aside.head_before = head(&store).await;
    record(&store, &aside).await;
    let newest = page(&store, Scope::Shown, Order::Desc, None, 4).await;
    assert_eq!(seqs(&newest), [LAST + 2, LAST + 1, LAST / 2, LAST / 2 - 1]);
    let around = page(&store, Scope::Shown, Order::Asc, Some(LAST / 2 - 2), 20).await;
    assert_eq!(seqs(&around), [LAST / 2 - 1, LAST / 2, LAST + 1, LAST + 2]);
    assert_eq!((seqs(&page(&store, Scope::Shown, Order::Asc, None, 3).await)), [1, 2, 3]);
}

pub(in crate::store::contract) async fn path_of_many_forks_is_read_by_pages(store: Store) {
    const FORKS: u32 = 60;
    talk(&store, 1).await;
    let mut expected = vec!["question 1".to_owned()];
    let (mut parent, mut seq) = (answer(1), 3);
    for number in (2..2 + 2 * FORKS).step_by(2) {
        // Every question has a second answer, which the next turn follows.
        record(&store, &turn(number, Some(parent), seq)).await;
        record(&store, &regenerated(number + 1, number, answer(number), seq + 2)).await;
        if expected.len() == 1 {
            expected.push("answer 1".to_owned());
        }
        expected.extend([format!("question {number}"), format!("answer {}", number + 1)]);
        (parent, seq) = (answer(number + 1), seq + 3);
    }
    assert_eq!(words(&shown(&store).await), expected);
    let context = store.context(id(OWNER), id(HERE), None).await.unwrap().unwrap();
    assert_eq!(words(&context.messages), expected[expected.len() - context.messages.len()..]);
    assert!(context.messages.iter().filter(|message| message.siblings.len() == 2).count() >= 20);
}
