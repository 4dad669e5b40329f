//! Tests of SQLite's own parts: its triggers, and that the cost of a page does not grow with its position.

use rusqlite::StatementStatus;
use shared::{
    api::{chat::UpdateConversation, internal::TurnDelivery, page::Order},
    id::Id,
};
use tempfile::TempDir;

use super::{SqliteChats, changes, conversations, cuts, deletions, messages, migrate, stats, tree};
use crate::{
    clock::{Clock as _, SystemClock},
    store::{
        chats::{Change, Chats as _, MessagesPage, Scope},
        contract::samples::{START, at, conversation, delivery, delivery_after, id, updated},
        sqlite::engine::{connect, plan},
    },
};

const ADA: u32 = 1;

async fn open() -> (SqliteChats, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (SqliteChats::open(&folder.path().join("chats.db")).await.unwrap(), folder)
}

/// Returns all changes of a user after a position, as position, conversation and whether it exists.
async fn changes_of(store: &SqliteChats, user: u32, after: u64) -> Vec<(u64, Id, bool)> {
    let found = store.changes(id(user), after, 100, START).await.unwrap();
    found
        .into_iter()
        .map(|Change { position, conversation_id, conversation }| {
            (position, conversation_id, conversation.is_some())
        })
        .collect()
}

#[tokio::test]
async fn writes_take_consecutive_positions() {
    let (store, _folder) = open().await;
    let (first, second) = (conversation(10, START), conversation(11, START));
    store.create_conversation(id(ADA), first.clone()).await.unwrap();
    store.create_conversation(id(ADA), second.clone()).await.unwrap();
    store.create_conversation(id(2), conversation(12, START)).await.unwrap();
    assert_eq!(changes_of(&store, ADA, 0).await, [(1, first.id, true), (2, second.id, true)]);

    let rename = UpdateConversation { title: Some(None), ..UpdateConversation::default() };
    updated(store.update_conversation(id(ADA), first.id, rename, at(1)).await.unwrap()).unwrap();
    assert_eq!(changes_of(&store, ADA, 0).await, [(2, second.id, true), (3, first.id, true)]);
    store.record_turn(delivery(id(ADA), second.id, 1, 1)).await.unwrap().unwrap();
    assert_eq!(changes_of(&store, ADA, 2).await, [(3, first.id, true), (4, second.id, true)]);
    // The newest one is deleted; its position is not reused.
    assert!(store.delete_conversation(id(ADA), second.id, at(500)).await.unwrap());
    assert_eq!(changes_of(&store, ADA, 3).await, [(5, second.id, false)]);
    store.create_conversation(id(ADA), conversation(13, START)).await.unwrap();
    assert_eq!(changes_of(&store, ADA, 4).await, [(5, second.id, false), (6, id(13), true)]);
    assert_eq!(changes_of(&store, ADA, 6).await, []);
    assert_eq!(changes_of(&store, ADA, u64::MAX).await, []);
    assert_eq!(changes_of(&store, 2, 0).await, [(1, id(12), true)]);
}

#[tokio::test]
async fn repeated_write_is_no_change() {
    let (store, _folder) = open().await;
    let opened = conversation(10, START);
    let turn = delivery(id(ADA), opened.id, 1, 1);
    store.create_conversation(id(ADA), opened.clone()).await.unwrap();
    store.record_turn(turn.clone()).await.unwrap();
    let before = changes_of(&store, ADA, 0).await;
    store.create_conversation(id(ADA), opened.clone()).await.unwrap();
    assert_eq!(store.record_turn(turn.clone()).await.unwrap(), Some(2));
    assert_eq!(changes_of(&store, ADA, 0).await, before);

    assert!(store.delete_conversation(id(ADA), opened.id, at(500)).await.unwrap());
    store.create_conversation(id(ADA), opened.clone()).await.unwrap();
    assert_eq!(store.record_turn(turn).await.unwrap(), None);
    assert_eq!(changes_of(&store, ADA, 0).await, [(3, opened.id, false)]);
    while store.purge_conversations(at(500), 10).await.unwrap() > 0 {}
    store.create_conversation(id(ADA), opened.clone()).await.unwrap();
    assert_eq!(changes_of(&store, ADA, 0).await, [(3, opened.id, false)]);
    // Even if another user took the id, the user who deleted it would not see theirs.
    store.create_conversation(id(2), opened.clone()).await.unwrap();
    assert_eq!(store.conversation(id(ADA), opened.id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn follower_during_writes_misses_nothing() {
    let (store, _folder) = open().await;
    let store = std::sync::Arc::new(store);
    let writers: Vec<_> = (0..4_u32)
        .map(|writer| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move {
                for number in 0..25 {
                    let new = conversation(100 + writer * 25 + number, START);
                    store.create_conversation(id(ADA), new).await.unwrap();
                }
            })
        })
        .collect();
    let (mut place, mut seen) = (0, std::collections::BTreeSet::new());
    while seen.len() < 100 {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let page = store.changes(id(ADA), place, 7, START).await.unwrap();
        assert!(!(done && page.is_empty()), "missed some: {}", seen.len());
        for change in page {
            assert!(change.position > place);
            place = change.position;
            assert!(seen.insert(change.conversation_id), "only creations, so each comes once");
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn pages_are_read_from_index_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.db");
    migrate::chats(&path).await.unwrap();
    let file = connect(&path).unwrap();
    for (sql, index, range) in [
        (conversations::PAGE, "conversations_by_activity", "(user_id=? AND (activity_at,id)<(?,?))"),
        (
            conversations::PAGE_BY_ARCHIVED,
            "conversations_by_archived",
            "(user_id=? AND archived=? AND (activity_at,id)<(?,?))",
        ),
        (
            conversations::PAGE_BY_PINNED,
            "conversations_by_pinned",
            "(user_id=? AND pinned=? AND (activity_at,id)<(?,?))",
        ),
        (
            conversations::PAGE_BY_BOTH,
            "conversations_by_both",
            "(user_id=? AND archived=? AND pinned=? AND (activity_at,id)<(?,?))",
        ),
        (
            conversations::DELETED_PAGE,
            "conversations_deleted",
            "(user_id=? AND deleted_at>? AND (deleted_at,id)<(?,?))",
        ),
        (deletions::TO_PURGE, "conversations_to_purge", "(deleted_at>? AND deleted_at<?)"),
        (messages::ARRIVED_UP, "sqlite_autoindex_messages_2", "(conversation_id=? AND seq>?)"),
        (messages::ARRIVED_DOWN, "sqlite_autoindex_messages_2", "(conversation_id=? AND seq<?)"),
        (messages::SPAN_UP, "messages_by_branch", "(conversation_id=? AND branch_id=? AND seq>? AND seq<?)"),
        (
            messages::SPAN_DOWN,
            "messages_by_branch",
            "(conversation_id=? AND branch_id=? AND seq>? AND seq<?)",
        ),
        (messages::CHILDREN, "messages_by_parent", "(conversation_id=? AND parent_id=?)"),
        (tree::BEFORE, "messages_by_branch", "(conversation_id=? AND branch_id=? AND seq<?)"),
        (tree::FROM, "messages_by_branch", "(conversation_id=? AND branch_id=? AND seq>?)"),
        (tree::CHILD, "messages_by_parent", "(conversation_id=? AND parent_id=?)"),
        (changes::AFTER, "sqlite_autoindex_changes_2", "(user_id=? AND position>?)"),
    ] {
        let plan = plan(&file, sql);
        // One search from where the page begins, and no sorting, which would be a second line.
        assert!(plan.starts_with("SEARCH ") && !plan.contains(';'), "{plan}");
        assert!(plan.ends_with(&format!("INDEX {index} {range}")), "{plan}");
    }
}

#[tokio::test]
async fn what_a_user_has_is_found_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.db");
    migrate::chats(&path).await.unwrap();
    let file = connect(&path).unwrap();
    for sql in [deletions::DELETE_MANY, deletions::GIVE, changes::FORGET] {
        let plan = plan(&file, sql);
        assert!(plan.contains("user_id=?") && !plan.contains("SCAN"), "{plan}");
    }
}

#[tokio::test]
async fn counts_and_deletions_of_messages_are_served_by_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.db");
    migrate::chats(&path).await.unwrap();
    let file = connect(&path).unwrap();
    let counts = plan(&file, stats::COUNTS);
    assert!(counts.contains("COVERING INDEX messages_to_count (conversation_id=?)"), "{counts}");
    for sql in deletions::PURGES.into_iter().chain([stats::COUNTS, stats::TOOL_CALLS, cuts::NOTE_BELOW]) {
        let plan = plan(&file, sql);
        let scans: Vec<_> =
            plan.split(';').filter(|step| step.contains("SCAN") && !step.contains("SCAN below")).collect();
        assert!(scans.is_empty(), "{plan}");
    }
}

/// The work of the first, the middle and the last page of a path, up and down, in steps of SQLite's machine.
fn steps_of_pages(file: &rusqlite::Connection, branch: Option<Id>, last: i64) -> Vec<i32> {
    let mut steps = Vec::new();
    for sql in [messages::SPAN_UP, messages::SPAN_DOWN] {
        for (after, to) in [(0, last), (last / 2, last), (last - 40, last), (0, last / 2), (0, 40)] {
            let mut statement = file.prepare(sql).unwrap();
            let branch = branch.as_ref().map(Id::as_bytes);
            let mut rows = statement.query((id(10).as_bytes(), branch, after, to, 20)).unwrap();
            while rows.next().unwrap().is_some() {}
            drop(rows);
            assert_eq!(statement.get_status(StatementStatus::Sort), 0);
            assert_eq!(statement.get_status(StatementStatus::FullscanStep), 0);
            steps.push(statement.get_status(StatementStatus::VmStep));
        }
    }
    steps
}

#[tokio::test]
async fn page_of_a_long_path_takes_as_many_steps_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats.db");
    migrate::chats(&path).await.unwrap();
    let file = connect(&path).unwrap();
    let conversation = "INSERT INTO conversations (id, user_id, pinned, archived, message_count, activity_at, created_at, \
                        updated_at) VALUES (?1, ?1, 0, 0, 0, 1, 1, 1)";
    file.execute(conversation, [id(10).as_bytes()]).unwrap();
    // Ten thousand messages of the trunk, and as many of a branch between them.
    let messages = "WITH RECURSIVE seqs (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM seqs WHERE seq < 20000) \
                    INSERT INTO messages (id, conversation_id, turn_id, branch_id, seq, role, content, status, created_at, \
                    updated_at) SELECT randomblob(16), ?1, ?1, iif(seq % 2 = 0, ?2, NULL), seq, 'user', 'words', \
                    'completed', 1, 1 FROM seqs";
    file.execute(messages, (id(10).as_bytes(), id(11).as_bytes())).unwrap();
    for branch in [None, Some(id(11))] {
        let steps = steps_of_pages(&file, branch, 20_000);
        let (least, most) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
        assert!(most - least <= 20, "{steps:?}");
        // A page in the order of arrival is read as one was before there were branches.
        let mut arrived = file.prepare(messages::ARRIVED_UP).unwrap();
        let mut rows = arrived.query((id(10).as_bytes(), 10_000, 20)).unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        let most_more = 2 * 20;
        assert!(*most <= arrived.get_status(StatementStatus::VmStep) + most_more, "{steps:?}");
    }
}

/// Turn `number` of a long conversation, from 1 on.
fn turn(conversation_id: Id, number: u32) -> TurnDelivery {
    let before =
        number.checked_sub(1).filter(|before| *before > 0).map(|before| id(10 * (1_000 + before) + 1));
    delivery_after(before, id(ADA), conversation_id, 1_000 + number, u64::from(2 * number - 1))
}

/// Prints how long pages of 100,000 messages take, by hand:
/// `cargo test --release -p edgechat-origin --lib pages_of_hundred_thousand -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures, and asserts no times"]
async fn pages_of_hundred_thousand_messages_print_times() {
    const TURNS: u32 = 50_000;
    const ROUNDS: u32 = 500;
    let (store, _folder) = open().await;
    let store = std::sync::Arc::new(store);
    let long = conversation(10, START).id;
    store.create_conversation(id(ADA), conversation(10, START)).await.unwrap();
    for first in (1..=TURNS).step_by(500) {
        let group: Vec<_> = (first..first + 500)
            .map(|number| {
                let store = std::sync::Arc::clone(&store);
                tokio::spawn(async move { store.record_turn(turn(long, number)).await.unwrap().unwrap() })
            })
            .collect();
        for recorded in group {
            recorded.await.unwrap();
        }
    }
    let clock = SystemClock::start();
    let all = u64::from(2 * TURNS);
    for (name, order, after) in [
        ("first page, up", Order::Asc, None),
        ("last page, up", Order::Asc, Some(all - 20)),
        ("first page, down", Order::Desc, None),
        ("last page, down", Order::Desc, Some(21)),
    ] {
        let mut micros: Vec<u128> = Vec::new();
        for _ in 0..ROUNDS {
            let started = clock.elapsed();
            let wanted = MessagesPage { scope: Scope::Shown, order, after, limit: 20 };
            let page = store.messages(id(ADA), long, wanted).await.unwrap().unwrap();
            micros.push(clock.elapsed().saturating_sub(started).as_micros());
            assert_eq!(page.items.len(), 20);
        }
        micros.sort_unstable();
        let at = |part: usize| micros[micros.len() * part / 100];
        println!("{name}: p50 {} µs, p99 {} µs, of {} messages", at(50), at(99), all);
    }
}
