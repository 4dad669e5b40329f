//! Contexts at any message.

use shared::{api::internal::CONTEXT_MESSAGES, chat::context::CONTEXT_BYTES};

use super::{
    OTHER, OWNER, Store,
    trees::{HERE, answer, question, record, regenerated, talk, turn, words},
};
use crate::store::contract::samples::{START, conversation, id, pictured};

pub(in crate::store::contract) async fn context_at_message_has_its_path_and_children(store: Store) {
    talk(&store, 3).await;
    let plain = store.context(id(OWNER), id(HERE), Some(answer(1))).await.unwrap().unwrap();
    assert_eq!((words(&plain.messages), plain.children), (vec!["question 1", "answer 1"], vec![question(2)]));
    record(&store, &regenerated(4, 2, answer(3), 7)).await;
    record(&store, &turn(5, Some(answer(4)), 8)).await;

    // In the branch that is no longer shown.
    let hidden = store.context(id(OWNER), id(HERE), Some(question(3))).await.unwrap().unwrap();
    let expected = ["question 1", "answer 1", "question 2", "answer 2", "question 3"];
    assert_eq!((words(&hidden.messages), hidden.children), (expected.to_vec(), vec![answer(3)]));
    assert_eq!((hidden.last_seq, hidden.head.message_id), (9, Some(answer(5))));
    // In both branches.
    let fork = store.context(id(OWNER), id(HERE), Some(question(2))).await.unwrap().unwrap();
    assert_eq!((words(&fork.messages), fork.children), (expected[..3].to_vec(), vec![answer(2), answer(4)]));
    // At the head it is the context that has no place.
    let shown = store.context(id(OWNER), id(HERE), None).await.unwrap();
    assert_eq!(store.context(id(OWNER), id(HERE), Some(answer(5))).await.unwrap(), shown);
    assert_eq!(shown.unwrap().messages[3].siblings, [answer(2), answer(4)]);
}

pub(in crate::store::contract) async fn context_at_message_of_another_conversation_is_absent(store: Store) {
    talk(&store, 1).await;
    store.create_conversation(id(OWNER), conversation(HERE + 1, START)).await.unwrap();
    store.create_conversation(id(OTHER), conversation(HERE + 2, START)).await.unwrap();
    for (user, conversation) in [(OWNER, HERE + 1), (OTHER, HERE), (OTHER, HERE + 2)] {
        assert_eq!(store.context(id(user), id(conversation), Some(answer(1))).await.unwrap(), None);
    }
    assert_eq!(store.context(id(OWNER), id(HERE), Some(id(999_999))).await.unwrap(), None);
}

pub(in crate::store::contract) async fn context_at_message_has_its_picture_and_what_fits_before_it(
    store: Store,
) {
    let turns = u32::try_from(CONTEXT_MESSAGES).unwrap();
    talk(&store, turns).await;
    record(
        &store,
        &pictured(turn(turns + 1, Some(answer(turns)), u64::from(2 * turns + 1)), CONTEXT_BYTES + 1),
    )
    .await;
    let large = store.context(id(OWNER), id(HERE), Some(question(turns + 1))).await.unwrap().unwrap();
    let last = large.messages.last().unwrap();
    assert!(last.content_bytes() > CONTEXT_BYTES, "it keeps its picture");
    assert_eq!(large.messages.len(), CONTEXT_MESSAGES);
    let middle = store.context(id(OWNER), id(HERE), Some(answer(turns / 2 + 1))).await.unwrap().unwrap();
    assert_eq!(middle.messages.len(), CONTEXT_MESSAGES);
    assert_eq!(middle.messages.last().unwrap().id, answer(turns / 2 + 1));
}
