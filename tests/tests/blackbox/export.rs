//! The export of all data of an account.

use std::fs;

use edgechat_tests::{
    client::{Phone, Reply},
    delivery::{delivery, message_id},
    provider::call::USAGE,
    test_env::TestEnv,
    wait::bounded,
};
use shared::{
    api::{
        account::export::ExportLine,
        chat::Message,
        internal::{MAX_TURN_MESSAGES, TurnDelivery, TurnMessages},
    },
    id::Id,
};

use super::deliveries::deliver;

const EXPORT: &str = "/api/v1/users/me/export";

fn lines(reply: &Reply) -> Vec<ExportLine> {
    reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn export_is_whole_and_equals_what_was_said() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let mut said = Vec::new();
    for text in ["Hello", "And now?"] {
        let conversation = phone.conversation().await;
        for round in 0..2 {
            let sent = phone.send_and_persist(conversation, &format!("{text} {round}")).await;
            let question = sent.user_message.expect("a reply has a question");
            said.extend([question.content, sent.assistant_message.content]);
        }
    }
    let reply = phone.client.get(EXPORT).send().await.expect_status(200);
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"export.jsonl\""));
    let lines = lines(&reply);
    let mut exported = Vec::new();
    for line in &lines {
        if let ExportLine::Message(message) = line {
            exported.push(message.content.clone());
        }
    }
    assert_eq!(exported, said);
    let Some(ExportLine::End { counts }) = lines.last() else { panic!("{:?}", lines.last()) };
    assert_eq!((counts["message"], counts["conversation"], counts["profile"]), (8, 2, 1));
    assert_eq!(counts.values().sum::<u64>() + 1, lines.len() as u64);
    assert!(matches!(&lines[0], ExportLine::Profile(user) if **user == phone.tokens.user));
}

/// Builds a turn of as many messages as one may have, each a kilobyte long, which follow the one at `last_seq`.
#[cfg(target_os = "linux")]
fn long_turn(phone: &Phone, conversation: Id, last_seq: u64) -> TurnDelivery {
    let text = "All work and no play makes Jack a dull boy. ".repeat(24);
    let mut turn = delivery(phone, conversation, last_seq, (&text, &text), USAGE);
    let mut messages = turn.messages.into_vec();
    while messages.len() < MAX_TURN_MESSAGES {
        let before = messages.last().expect("a turn has messages").clone();
        let (seq, id) = (before.seq + 1, message_id(conversation, before.seq + 1));
        messages.push(Message { id, seq, parent_id: Some(before.id), siblings: vec![id], ..before });
    }
    turn.messages = TurnMessages::new(messages).expect("as many messages as a turn may have");
    turn.head_id = turn.messages.answer().id;
    turn
}

/// Returns the most memory that a process has had resident at once, in KiB.
#[cfg(target_os = "linux")]
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Sets the mark of the most memory to that of now (`/proc/PID/clear_refs`, proc_pid_clear_refs(5)).
#[cfg(target_os = "linux")]
fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn export_of_ten_thousand_messages_takes_little_memory() {
    const MESSAGES: u64 = 10_000;
    const MAX_GROWTH_KIB: u64 = 32 * 1_024;
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    for last_seq in (0..MESSAGES).step_by(MAX_TURN_MESSAGES) {
        deliver(&env, &phone, &long_turn(&phone, conversation, last_seq)).await;
    }
    let pid = env.origin_pid();
    forget_peak(pid);
    let before = peak_kib(pid);
    let reply = bounded("the export", phone.client.get(EXPORT).send()).await.expect_status(200);
    let growth = peak_kib(pid).saturating_sub(before);
    println!("an export of {} bytes took {growth} KiB beyond {before} KiB", reply.text().len());
    let Some(ExportLine::End { counts }) = lines(&reply).pop() else { panic!("it is not whole") };
    assert_eq!(counts["message"], MESSAGES);
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB");
}
