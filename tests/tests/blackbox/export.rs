//! The export of all data of an account.

use std::fs;

use edgechat_tests::{
    client::{Phone, Reply},
    delivery::delivery,
    provider::call::USAGE,
    test_env::TestEnv,
    wait::bounded,
};
use futures_util::future::join_all;
use shared::api::account::export::ExportLine;

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
            said.extend([sent.user_message.content, sent.assistant_message.content]);
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

/// Stores so many turns of a kilobyte each in a conversation.
#[cfg(target_os = "linux")]
async fn fill(env: &TestEnv, phone: &Phone, turns: u64) {
    let conversation = phone.conversation().await;
    let answer = "All work and no play makes Jack a dull boy. ".repeat(24);
    for turn in 0..turns {
        let question = format!("Question {turn}");
        let delivery = delivery(phone, conversation, 2 * turn, (&question, &answer), USAGE);
        deliver(env, phone, &delivery).await;
    }
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
    const TURNS: u64 = 5_000;
    const CONVERSATIONS: u64 = 10;
    const MAX_GROWTH_KIB: u64 = 32 * 1_024;
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    join_all((0..CONVERSATIONS).map(|_| fill(&env, &phone, TURNS / CONVERSATIONS))).await;
    let pid = env.origin_pid();
    forget_peak(pid);
    let before = peak_kib(pid);
    let reply = bounded("the export", phone.client.get(EXPORT).send()).await.expect_status(200);
    let growth = peak_kib(pid).saturating_sub(before);
    println!("an export of {} bytes took {growth} KiB beyond {before} KiB", reply.text().len());
    let Some(ExportLine::End { counts }) = lines(&reply).pop() else { panic!("it is not whole") };
    assert_eq!(counts["message"], 2 * TURNS);
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB");
}
