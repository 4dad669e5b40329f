//! The head of a conversation.

use std::sync::Arc;

use shared::{
    api::{chat::UpdateConversation, internal::Head, page::Order},
    chat::tree::user_mark,
};

use super::{
    OWNER, Store,
    trees::{ALL, HERE, answer, choose, head, page, question, record, regenerated, shown, talk, turn, words},
};
use crate::store::{
    chats::{Scope, Updated},
    contract::{
        at_once,
        samples::{START, at, conversation, delivery_after, id, updated},
    },
};

pub(in crate::store::contract) async fn head_chosen_by_user_is_kept(store: Store) {
    talk(&store, 3).await;
    record(&store, &regenerated(4, 2, answer(3), 7)).await;
    assert_eq!(head(&store).await, Some(answer(4)));
    // The end of a branch, a message in the middle, a message of another branch.
    for (message, expected) in [
        (answer(3), &["question 1", "answer 1", "question 2", "answer 2", "question 3", "answer 3"][..]),
        (question(2), &["question 1", "answer 1", "question 2"]),
        (question(1), &["question 1"]),
        (answer(4), &["question 1", "answer 1", "question 2", "answer 4"]),
    ] {
        let now = updated(choose(&store, message, at(500)).await).unwrap();
        assert_eq!((now.head_id, now.message_count, now.updated_at), (Some(message), 7, at(4_500)));
        assert_eq!(words(&shown(&store).await), expected);
        let context = store.context(id(OWNER), id(HERE), None).await.unwrap().unwrap();
        assert_eq!(words(&context.messages), expected);
        assert_eq!((context.head.message_id, context.last_seq), (Some(message), 7));
    }
    // The update's result includes what follows the head already.
    let _ = updated(choose(&store, question(2), at(600)).await).unwrap();
    let context = store.context(id(OWNER), id(HERE), None).await.unwrap().unwrap();
    assert_eq!(context.children, [answer(2), answer(4)]);
    assert_eq!(
        context.head,
        Head { mark: context.head.mark, message_id: Some(question(2)), turn_id: Some(id(100_004)) }
    );
    assert!(context.head.mark >= Some(user_mark(at(600))));
}

pub(in crate::store::contract) async fn update_with_unknown_head_changes_nothing(store: Store) {
    talk(&store, 1).await;
    let other_conversation = conversation(11, START);
    store.create_conversation(id(OWNER), other_conversation.clone()).await.unwrap();
    record(&store, &delivery_after(None, id(OWNER), other_conversation.id, 2, 1)).await;
    let before = store.conversation(id(OWNER), id(HERE)).await.unwrap();
    for wrong in [answer(2), id(999)] {
        let update = UpdateConversation {
            head_id: Some(wrong),
            pinned: Some(true),
            title: Some(Some("Never".to_owned())),
            ..UpdateConversation::default()
        };
        let outcome =
            store.update_conversation(id(OWNER), id(HERE), update.clone(), at(9_000)).await.unwrap();
        assert_eq!(outcome, Updated::UnknownHead);
        let outcome = store.update_conversation(id(2), id(HERE), update, at(9_000)).await.unwrap();
        assert_eq!(outcome, Updated::Absent);
    }
    assert_eq!(store.conversation(id(OWNER), id(HERE)).await.unwrap(), before);
    // With others it changes all that is named.
    let update = UpdateConversation {
        head_id: Some(question(1)),
        pinned: Some(true),
        ..UpdateConversation::default()
    };
    let now =
        updated(store.update_conversation(id(OWNER), id(HERE), update, at(9_000)).await.unwrap()).unwrap();
    assert_eq!((now.head_id, now.pinned, now.updated_at), (Some(question(1)), true, at(9_000)));
}

pub(in crate::store::contract) async fn late_delivery_after_choice_keeps_head(store: Store) {
    talk(&store, 2).await;
    record(&store, &regenerated(3, 2, answer(2), 5)).await;
    // Turn 4 began on that branch; before it is delivered, another device shows the first answer.
    let late = turn(4, Some(answer(3)), 6);
    let now = updated(choose(&store, answer(2), at(60_000)).await).unwrap();
    assert_eq!(now.head_id, Some(answer(2)));
    for _ in 0..2 {
        assert_eq!(store.record_turn(late.clone()).await.unwrap(), Some(7));
        assert_eq!(head(&store).await, Some(answer(2)));
        assert_eq!(words(&shown(&store).await), ["question 1", "answer 1", "question 2", "answer 2"]);
    }
    // It is there, once, and is shown when the user goes there.
    let _ = updated(choose(&store, answer(4), at(61_000)).await).unwrap();
    let expected = ["question 1", "answer 1", "question 2", "answer 3", "question 4", "answer 4"];
    assert_eq!(words(&shown(&store).await), expected);
    assert_eq!(page(&store, Scope::Arrived, Order::Asc, None, ALL).await.items.len(), 7);
}

pub(in crate::store::contract) async fn delivery_to_chosen_head_moves_head(store: Store) {
    talk(&store, 2).await;
    record(&store, &regenerated(3, 2, answer(2), 5)).await;
    // By a clock that is behind: the user chose, and then asked.
    let _ = updated(choose(&store, answer(2), at(60_000)).await).unwrap();
    let asked = turn(4, Some(answer(2)), 6);
    record(&store, &asked).await;
    assert_eq!(head(&store).await, Some(answer(4)));
    // Back to where it began: the repetition of its delivery does not bring it back.
    let _ = updated(choose(&store, answer(2), at(61_000)).await).unwrap();
    record(&store, &asked).await;
    assert_eq!(head(&store).await, Some(answer(2)));
    assert_eq!(words(&shown(&store).await), ["question 1", "answer 1", "question 2", "answer 2"]);
}

pub(in crate::store::contract) async fn turns_and_choices_at_once_end_with_the_newest(store: Store) {
    const TURNS: u32 = 8;
    talk(&store, 1).await;
    let last_choice = at(60_000 + i64::from(TURNS));
    at_once(2 * usize::try_from(TURNS).unwrap(), |index| {
        let store = Arc::clone(&store);
        async move {
            let number = 1 + u32::try_from(index).unwrap() / 2;
            if index % 2 == 0 {
                record(&store, &turn(1 + number, Some(answer(1)), 3)).await;
            } else {
                // To a message that no turn began under.
                let now = updated(choose(&store, question(1), at(60_000 + i64::from(number))).await);
                assert!(now.is_some());
            }
        }
    })
    .await;
    assert_eq!(head(&store).await, Some(question(1)));
    let context = store.context(id(OWNER), id(HERE), None).await.unwrap().unwrap();
    assert_eq!(context.head.mark, Some(user_mark(last_choice)));
    let arrived = page(&store, Scope::Arrived, Order::Asc, None, ALL).await.items;
    assert_eq!(arrived.len(), 2 + 2 * usize::try_from(TURNS).unwrap());
}
