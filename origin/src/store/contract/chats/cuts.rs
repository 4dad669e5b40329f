//! Messages that are deleted with everything below them.

use std::{collections::BTreeSet, sync::Arc};

use shared::{
    api::{
        chat::{Conversation, TurnKind, UpdateConversation},
        internal::TurnDelivery,
        page::Order,
    },
    id::Id,
};

use super::{
    OTHER, OWNER, Store,
    trees::{ALL, HERE, answer, choose, head, page, question, record, regenerated, shown, talk, turn, words},
};
use crate::store::{
    chats::Scope,
    contract::{
        at_once,
        samples::{at, conversation, delivery, id, updated},
    },
};

async fn delete(store: &Store, message: Id, millis: i64) {
    assert!(store.delete_message(id(OWNER), id(HERE), message, at(millis)).await.unwrap());
}

async fn here(store: &Store) -> Conversation {
    store.conversation(id(OWNER), id(HERE)).await.unwrap().unwrap()
}

/// The words of all messages in the order of arrival.
async fn arrived(store: &Store) -> Vec<String> {
    let all = page(store, Scope::Arrived, Order::Asc, None, ALL).await.items;
    words(&all).into_iter().map(str::to_owned).collect()
}

/// Records a turn that is dropped.
async fn drop_turn(store: &Store, turn: &TurnDelivery) {
    assert_eq!(store.record_turn(turn.clone()).await.unwrap(), None);
}

pub(in crate::store::contract) async fn deleted_message_goes_with_everything_below(store: Store) {
    talk(&store, 2).await;
    // Branches that begin below the second question, one of them in another one, and a branch beside it.
    record(&store, &regenerated(3, 2, answer(2), 5)).await;
    record(&store, &turn(4, Some(answer(3)), 6)).await;
    record(&store, &regenerated(5, 4, answer(4), 8)).await;
    let mut edit = turn(6, Some(answer(1)), 9);
    (edit.kind, edit.head_before) = (TurnKind::Edit, Some(answer(5)));
    record(&store, &edit).await;
    assert!(updated(choose(&store, answer(5), at(20_000)).await).is_some());
    let before = here(&store).await;

    delete(&store, question(2), 30_000).await;
    assert_eq!(arrived(&store).await, ["question 1", "answer 1", "question 6", "answer 6"]);
    // The one beside it is shown.
    let path = shown(&store).await;
    assert_eq!(words(&path), ["question 1", "answer 1", "question 6", "answer 6"]);
    assert_eq!(path[2].siblings, [question(6)]);
    for number in 2..=5 {
        assert!(store.turn(id(OWNER), id(100_000 + number)).await.unwrap().is_none(), "{number}");
    }
    assert!(store.turn(id(OWNER), id(100_006)).await.unwrap().is_some());
    for gone in [question(2), answer(2), answer(3), answer(4), answer(5)] {
        assert!(!store.delete_message(id(OWNER), id(HERE), gone, at(30_001)).await.unwrap());
        assert_eq!(choose(&store, gone, at(30_002)).await, crate::store::chats::Updated::UnknownHead);
    }
    let expected = Conversation {
        head_id: Some(answer(6)),
        last_message_preview: Some("answer 6".to_owned()),
        messages_deleted_at: Some(at(30_000)),
        updated_at: at(30_000),
        ..before
    };
    assert_eq!(here(&store).await, expected);
    let context = store.context(id(OWNER), id(HERE), None).await.unwrap().unwrap();
    assert_eq!((words(&context.messages), context.last_seq), (words(&path), 10));

    // What remains ends with the message before it, and goes on from there.
    delete(&store, question(6), 30_000).await;
    assert_eq!(words(&shown(&store).await), ["question 1", "answer 1"]);
    let context = store.context(id(OWNER), id(HERE), None).await.unwrap().unwrap();
    assert_eq!((context.head.message_id, context.children.len()), (Some(answer(1)), 0));
    let now = here(&store).await;
    assert_eq!((now.message_count, now.last_message_preview.as_deref()), (10, Some("answer 1")));
    // Each deletion has a mark of its own, also in the same millisecond.
    assert_eq!(now.messages_deleted_at, Some(at(30_001)));
    let mut next = turn(40, Some(answer(1)), 11);
    next.head_before = Some(answer(1));
    assert_eq!(store.record_turn(next).await.unwrap(), Some(12));
    let path = shown(&store).await;
    assert_eq!(words(&path), ["question 1", "answer 1", "question 40", "answer 40"]);
    assert_eq!(path[2].siblings, [question(40)]);
    assert_eq!(here(&store).await.last_message_preview.as_deref(), Some("answer 40"));
}

pub(in crate::store::contract) async fn deleted_answer_leaves_the_newest_other_one(store: Store) {
    talk(&store, 1).await;
    record(&store, &turn(2, Some(answer(1)), 3)).await;
    record(&store, &regenerated(3, 1, answer(2), 5)).await;
    record(&store, &regenerated(4, 1, answer(3), 6)).await;
    assert_eq!(words(&shown(&store).await), ["question 1", "answer 4"]);
    delete(&store, answer(4), 30_000).await;
    let path = shown(&store).await;
    assert_eq!(words(&path), ["question 1", "answer 3"]);
    assert_eq!(path[1].siblings, [answer(1), answer(3)]);
    // The first answer is shown with what was said after it.
    delete(&store, answer(3), 30_001).await;
    let path = shown(&store).await;
    assert_eq!(words(&path), ["question 1", "answer 1", "question 2", "answer 2"]);
    assert_eq!(path[1].siblings, [answer(1)]);
    delete(&store, answer(1), 30_002).await;
    assert_eq!(words(&shown(&store).await), ["question 1"]);
    assert_eq!(
        (head(&store).await, arrived(&store).await),
        (Some(question(1)), vec!["question 1".to_owned()])
    );
    // A turn without its answer is none.
    assert!(store.turn(id(OWNER), id(100_001)).await.unwrap().is_none());
    record(&store, &regenerated(50, 1, question(1), 7)).await;
    assert_eq!(words(&shown(&store).await), ["question 1", "answer 50"]);
}

pub(in crate::store::contract) async fn deletion_in_another_branch_keeps_the_head(store: Store) {
    talk(&store, 2).await;
    record(&store, &regenerated(3, 2, answer(2), 5)).await;
    assert!(updated(choose(&store, answer(2), at(20_000)).await).is_some());
    assert_eq!(here(&store).await.last_message_preview.as_deref(), Some("answer 3"));
    delete(&store, answer(3), 30_000).await;
    let path = shown(&store).await;
    assert_eq!(words(&path), ["question 1", "answer 1", "question 2", "answer 2"]);
    assert_eq!(path[3].siblings, [answer(2)]);
    let now = here(&store).await;
    assert_eq!((now.head_id, now.last_message_preview.as_deref()), (Some(answer(2)), Some("answer 2")));
    assert_eq!(now.last_message_at, Some(at(3_001)));
}

pub(in crate::store::contract) async fn first_message_leaves_an_empty_conversation(store: Store) {
    talk(&store, 2).await;
    delete(&store, question(1), 30_000).await;
    assert_eq!((words(&shown(&store).await).len(), arrived(&store).await.len()), (0, 0));
    let now = here(&store).await;
    assert_eq!((now.head_id, now.message_count, now.last_message_preview), (None, 4, None));
    let context = store.context(id(OWNER), id(HERE), None).await.unwrap().unwrap();
    assert_eq!((context.head.message_id, context.last_seq, context.messages.len()), (None, 4, 0));
    let mut anew = turn(40, None, 5);
    anew.head_before = None;
    assert_eq!(store.record_turn(anew).await.unwrap(), Some(6));
    let path = shown(&store).await;
    assert_eq!((words(&path), &path[0].siblings), (vec!["question 40", "answer 40"], &vec![question(40)]));
}

pub(in crate::store::contract) async fn late_delivery_below_deleted_message_stores_nothing(store: Store) {
    talk(&store, 2).await;
    delete(&store, question(2), 2_500).await;
    let before = here(&store).await;
    // Turns that began before the deletion, or without knowing of it: below the deleted one, then below the dropped one.
    let below = turn(3, Some(answer(2)), 5);
    for _ in 0..2 {
        drop_turn(&store, &below).await;
    }
    drop_turn(&store, &turn(4, Some(answer(3)), 7)).await;
    drop_turn(&store, &regenerated(5, 2, answer(2), 9)).await;
    assert_eq!(arrived(&store).await, ["question 1", "answer 1"]);
    assert_eq!(here(&store).await, before);
    for number in 3..=5 {
        assert!(store.turn(id(OWNER), id(100_000 + number)).await.unwrap().is_none());
    }
    // One beside it is stored.
    let mut beside = turn(6, Some(answer(1)), 5);
    beside.head_before = Some(answer(1));
    assert_eq!(store.record_turn(beside).await.unwrap(), Some(6));
    assert_eq!(words(&shown(&store).await), ["question 1", "answer 1", "question 6", "answer 6"]);
    // Also in a deleted conversation nothing below comes back.
    assert!(store.delete_conversation(id(OWNER), id(HERE), at(50_000)).await.unwrap());
    drop_turn(&store, &below).await;
    let _ = super::lifecycle::undelete(&store, OWNER, id(HERE)).await.unwrap();
    assert_eq!(arrived(&store).await, ["question 1", "answer 1", "question 6", "answer 6"]);
}

pub(in crate::store::contract) async fn repeated_delivery_brings_no_deleted_message_back(store: Store) {
    talk(&store, 2).await;
    let second = turn(2, Some(answer(1)), 3);
    delete(&store, answer(2), 30_000).await;
    for _ in 0..2 {
        drop_turn(&store, &second).await;
        assert_eq!(arrived(&store).await, ["question 1", "answer 1", "question 2"]);
    }
    delete(&store, question(2), 30_001).await;
    drop_turn(&store, &second).await;
    assert_eq!(arrived(&store).await, ["question 1", "answer 1"]);
    // A turn that lost nothing is as it was.
    assert_eq!(store.record_turn(turn(1, None, 1)).await.unwrap(), Some(4));
    assert_eq!(words(&shown(&store).await), ["question 1", "answer 1"]);
    assert!(store.turn(id(OWNER), id(100_001)).await.unwrap().is_some());
}

pub(in crate::store::contract) async fn message_of_nobody_is_not_deleted(store: Store) {
    talk(&store, 1).await;
    let other = conversation(11, at(0));
    store.create_conversation(id(OWNER), other.clone()).await.unwrap();
    for (user, of, message) in [
        (OTHER, HERE, question(1)),
        (OWNER, 11, question(1)),
        (OWNER, 12, question(1)),
        (OWNER, HERE, id(999)),
    ] {
        assert!(!store.delete_message(id(user), id(of), message, at(500)).await.unwrap());
    }
    assert_eq!(store.conversation(id(OWNER), other.id).await.unwrap(), Some(other));
    assert!(store.delete_conversation(id(OWNER), id(HERE), at(600)).await.unwrap());
    assert!(!store.delete_message(id(OWNER), id(HERE), question(1), at(700)).await.unwrap());
    let back = super::lifecycle::undelete(&store, OWNER, id(HERE)).await.unwrap();
    assert_eq!((back.messages_deleted_at, arrived(&store).await.len()), (None, 2));
}

pub(in crate::store::contract) async fn deletions_and_deliveries_at_once_leave_no_message_below_a_deleted_one(
    store: Store,
) {
    const ROUNDS: u32 = 6;
    for round in 0..ROUNDS {
        let own = id(1_000 + round);
        let opened = Conversation { id: own, ..conversation(HERE, at(0)) };
        store.create_conversation(id(OWNER), opened).await.unwrap();
        // A chain of eight turns, each after the one before, and two forks of it.
        let turns: Vec<_> = (1..=8)
            .map(|number| {
                let number = 10_000 + 100 * round + number;
                let of_chain = number % 100;
                let first = of_chain == 1;
                let mut turn = delivery(id(OWNER), own, number, u64::from(2 * of_chain - 1));
                if first {
                    turn.messages.iter_mut().next().unwrap().parent_id = None;
                    turn.head_before = None;
                }
                turn
            })
            .collect();
        for turn in &turns[..4] {
            store.record_turn(turn.clone()).await.unwrap().unwrap();
        }
        let doomed = [turns[2].messages.first().id, turns[1].messages.answer().id];
        at_once(12, |index| {
            let store = Arc::clone(&store);
            let late = turns[4 + index % 4].clone();
            let doomed = doomed.get(index.wrapping_sub(8)).copied();
            async move {
                match doomed {
                    // The second one may take the first along.
                    Some(message) => {
                        store.delete_message(id(OWNER), own, message, at(30_000)).await.unwrap();
                    }
                    None => {
                        store.record_turn(late).await.unwrap();
                    }
                }
            }
        })
        .await;
        // What the deliveries of turns whose parents were not there yet have left is dropped by their repetition.
        for turn in &turns[4..] {
            store.record_turn(turn.clone()).await.unwrap();
        }
        let page = crate::store::chats::MessagesPage {
            scope: Scope::Arrived,
            order: Order::Asc,
            after: None,
            limit: ALL,
        };
        let left = store.messages(id(OWNER), own, page).await.unwrap().unwrap().items;
        let expected: BTreeSet<_> =
            [&turns[0].messages.first().id, &turns[0].messages.answer().id, &turns[1].messages.first().id]
                .into_iter()
                .copied()
                .collect();
        assert_eq!(left.iter().map(|message| message.id).collect::<BTreeSet<_>>(), expected);
        let now = store.conversation(id(OWNER), own).await.unwrap().unwrap();
        assert_eq!(now.head_id, Some(turns[1].messages.first().id));
        let rename = UpdateConversation { pinned: Some(true), ..UpdateConversation::default() };
        assert!(
            updated(store.update_conversation(id(OWNER), own, rename, at(40_000)).await.unwrap()).is_some()
        );
    }
}
