//! Tests that kill processes at each kind of moment: every message is stored, answered and counted exactly once.

use edgechat_tests::{
    client::{Phone, content},
    provider::{Call, Script},
    test_env::TestEnv,
    wait::{BOUND, until},
};
use serde_json::Value;
use shared::{
    api::chat::{Role, SentMessage},
    id::Id,
};

/// The process that is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Origin,
    Worker,
    Both,
}

/// The moment of the kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The provider was just called.
    Called,
    /// A first word was sent.
    Spoken,
    /// The last word was sent; the turn is being delivered to the origin.
    Finished,
}

async fn kill_and_start(env: &mut TestEnv, victim: Victim) {
    match victim {
        Victim::Origin => {
            env.kill_origin().await;
            env.start_origin().await;
        }
        Victim::Worker => {
            env.kill_workerd().await;
            env.start_workerd().await;
        }
        Victim::Both => {
            env.kill_origin().await;
            env.kill_workerd().await;
            env.start_workerd().await;
            env.start_origin().await;
        }
    }
}

/// Kills one process at one moment of one turn. The phone sends the message again until it gets an answer.
async fn round(
    env: &mut TestEnv,
    phone: &Phone,
    conversation: Id,
    key: &str,
    victim: Victim,
    moment: Moment,
) {
    let upcoming = env.provider.hand_over();
    let body = content(key);
    let asking = tokio::spawn(
        phone.message(conversation, &body).key(key).header("Accept", "text/event-stream").try_send(),
    );
    let mut call: Call = upcoming.arrives().await;
    match moment {
        Moment::Called => {
            kill_and_start(env, victim).await;
            // The Worker may be dead, and the provider's caller with it.
            let _ = call.send_text("One ").await;
            let _ = call.stop().await;
        }
        Moment::Spoken => {
            call.send_text("One ").await.unwrap();
            kill_and_start(env, victim).await;
            let _ = call.stop().await;
        }
        Moment::Finished => {
            call.send_text("One ").await.unwrap();
            call.stop().await.unwrap();
            kill_and_start(env, victim).await;
        }
    }
    // Whatever the first attempt returned, the phone retries with the same key.
    let _ = asking.await;
    let answer = until(BOUND, "an answer", || async {
        let reply = phone.message(conversation, &body).key(key).try_send().await.ok()?;
        [200, 201].contains(&reply.status).then(|| reply.json::<SentMessage>())
    });
    let sent = answer.await;
    assert!(sent.status.is_terminal(), "{victim:?} {moment:?}: {sent:?}");
    phone.persisted(sent.turn_id).await;
}

#[tokio::test]
async fn message_counts_once_after_any_process_death() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let mut rounds = Vec::new();
    for victim in [Victim::Origin, Victim::Worker, Victim::Both] {
        for moment in [Moment::Called, Moment::Spoken, Moment::Finished] {
            let key = format!("{victim:?}-{moment:?}");
            round(&mut env, &phone, conversation, &key, victim, moment).await;
            rounds.push(key);
        }
    }
    let messages = phone.messages(conversation).await;
    let asked: Vec<_> = messages
        .iter()
        .filter(|message| message.role == Role::User)
        .map(|message| &message.content)
        .collect();
    assert_eq!(asked, rounds.iter().collect::<Vec<_>>());
    let seqs: Vec<_> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=messages.len() as u64).collect::<Vec<_>>());
    for pair in messages.chunks(2) {
        assert_eq!((pair[0].role, pair[1].role), (Role::User, Role::Assistant));
        assert_eq!((pair[0].turn_id, pair[1].parent_id), (pair[1].turn_id, Some(pair[0].id)));
        assert!(pair[1].status.is_terminal());
    }
    let report = phone.usage().await;
    let count = rounds.len() as u64;
    assert_eq!(
        (report.totals.requests, report.totals.messages, report.today.messages),
        (count, count, count)
    );

    // The model gets the whole conversation.
    env.provider.will(Script::pieces(["Calm."]));
    phone.send_message(conversation, "How are you?").await;
    let last = env.provider.received().pop().unwrap();
    let prompt: Value = serde_json::from_slice(&last.body).unwrap();
    for key in &rounds {
        assert!(prompt.to_string().contains(key.as_str()), "{key} is missing in {prompt}");
    }
}
