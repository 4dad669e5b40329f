//! Messages to users: notices, codes and links.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::{address::Address, api::account::codes::CodePurpose, id::Id, time::DAY_MS};

use super::test_env::{Call, Member, TestEnv, problem};
use crate::{
    clock::Clock,
    jobs::{
        Job, Runner,
        notify::{Notify, Texts, one_time_code, password_changed, password_reset},
        runner::Limits,
    },
    notify::{Message, Messenger, Purpose, SendError},
    random::{Random as _, SystemRandom},
};

/// Uses a refresh token of a session twice, which ends it.
async fn reuse(env: &TestEnv, member: &Member) {
    let refresh = async || {
        let call = Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": member.refresh}));
        env.send(call).await
    };
    assert_eq!(refresh().await.status, 200);
    env.clock.advance(10_001);
    for _ in 0..2 {
        assert_eq!(refresh().await.problem(), problem(401, "session_ended"));
    }
}

async fn sign_in(env: &TestEnv) -> Member {
    let body = json!({"email": "ada@example.com", "password": "correct horse"});
    Member::of(&env.send(Call::post("/api/v1/auth/login").json(&body)).await.json())
}

#[tokio::test]
async fn session_ended_by_reuse_is_mailed_once_a_day() {
    let env = TestEnv::with(&[("APP_NAME", "Chatty")]).await;
    let ada = env.register("ada").await;
    assert_eq!(env.mailbox().await, Vec::<Value>::new());
    reuse(&env, &ada).await;
    let sent = env.mailbox().await;
    assert_eq!(sent.len(), 1);
    let (mail, sent_at) = (&sent[0], env.clock.now().to_string());
    let expected = json!({
        "to": "ada@example.com", "channel": "email", "purpose": "session_ended",
        "code": null, "link": null, "token": null, "sent_at": sent_at,
        "subject": "Chatty: a session was ended", "text": mail["text"],
    });
    assert_eq!(*mail, expected);
    assert!(mail["text"].as_str().is_some_and(|text| text.contains(&sent_at)), "{mail}");

    reuse(&env, &sign_in(&env).await).await;
    assert_eq!(env.mailbox().await.len(), 1, "another session on the same day");
    env.clock.advance(DAY_MS);
    reuse(&env, &sign_in(&env).await).await;
    assert_eq!(env.mailbox().await.len(), 2);
}

#[tokio::test]
async fn production_has_no_mailbox() {
    let env = TestEnv::with(&[("EDGECHAT_ENV", "production")]).await;
    assert_eq!(env.send(Call::get("/dev/mailbox")).await.problem(), problem(404, "not_found"));
}

/// Schedules a code for this address in five minutes from now at the latest; returns the code.
async fn schedule_code(env: &TestEnv, to: &Address, purpose: CodePurpose) -> String {
    let now = env.clock.now();
    let code_id = SystemRandom.id(now);
    let job = one_time_code(code_id, to.clone(), purpose, now.plus_millis(300_000), now);
    for job in [job.clone(), job] {
        env.app.stores.accounts.schedule_job(job).await.unwrap();
    }
    env.app.one_time_secrets.code(code_id)
}

#[tokio::test]
async fn codes_are_in_the_mailbox_with_their_channel_once() {
    let env = TestEnv::with(&[("APP_NAME", "Chatty")]).await;
    let (email, phone) =
        (Address::Email("bob@example.com".to_owned()), Address::Phone("+491701234567".to_owned()));
    let by_mail = schedule_code(&env, &email, CodePurpose::Verify).await;
    let sent = &env.mailbox().await[0];
    let expected = json!({
        "to": "bob@example.com", "channel": "email", "purpose": "verify",
        "code": by_mail, "link": null, "token": null, "sent_at": env.clock.now().to_string(),
        "subject": format!("{by_mail} is your Chatty code"), "text": sent["text"],
    });
    assert_eq!(*sent, expected);
    let by_sms = schedule_code(&env, &phone, CodePurpose::Login).await;
    let all = env.mailbox().await;
    let told = (&all[0]["channel"], &all[0]["purpose"], &all[0]["code"], &all[0]["to"]);
    assert_eq!(told, (&json!("sms"), &json!("login"), &json!(by_sms), &json!("+491701234567")));
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn password_notices_go_to_the_users_address() {
    let env = TestEnv::with(&[("PUBLIC_URL", "https://chat.example.com/")]).await;
    let (ada, now) = (env.register("ada").await, env.clock.now());
    let (reset_id, notice_id) = (SystemRandom.id(now), SystemRandom.id(now));
    let accounts = &env.app.stores.accounts;
    accounts
        .schedule_job(password_reset(
            reset_id,
            Address::email("ada@example.com"),
            now.plus_millis(300_000),
            now,
        ))
        .await
        .unwrap();
    let token = env.app.one_time_secrets.token(reset_id);
    let sent = env.mailbox().await[0].clone();
    let told = (&sent["to"], &sent["purpose"], &sent["token"], &sent["link"]);
    let link = json!(format!("https://chat.example.com/reset-password?token={token}"));
    assert_eq!(told, (&json!("ada@example.com"), &json!("reset"), &json!(token), &link));

    accounts.schedule_job(password_changed(notice_id, ada.id, now)).await.unwrap();
    let sent = env.mailbox().await[0].clone();
    assert_eq!((&sent["to"], &sent["purpose"]), (&json!("ada@example.com"), &json!("password_changed")));
}

#[tokio::test]
async fn nobody_is_told_of_an_account_that_is_gone() {
    let env = TestEnv::new().await;
    let now = env.clock.now();
    let reset_id = SystemRandom.id(now);
    let job = password_reset(reset_id, Address::email("ada@example.com"), now.plus_millis(300_000), now);
    env.app.stores.accounts.schedule_job(job).await.unwrap();
    assert_eq!(env.mailbox().await, Vec::<Value>::new());
}

/// An adapter that answers one after the other, the last one from then on, and keeps the ids that it was given.
struct Scripted {
    answers: Vec<Result<(), SendError>>,
    ids: Mutex<Vec<Id>>,
}

impl Scripted {
    fn new(answers: &[Result<(), SendError>]) -> Arc<Self> {
        Arc::new(Self { answers: answers.to_vec(), ids: Mutex::default() })
    }

    fn ids(&self) -> Vec<Id> {
        self.ids.lock().unwrap().clone()
    }
}

#[async_trait]
impl Messenger for Scripted {
    async fn send(&self, message: Message) -> Result<(), SendError> {
        if message.purpose == Purpose::Verify {
            // It comes with the registration.
            return Ok(());
        }
        let mut ids = self.ids.lock().unwrap();
        ids.push(message.id);
        self.answers[(ids.len() - 1).min(self.answers.len() - 1)].clone()
    }
}

/// A runner of notices with this adapter, on the stores of this environment.
fn runner(env: &TestEnv, messenger: &Arc<Scripted>) -> Arc<Runner> {
    runner_with(env, messenger, Limits::DEFAULT)
}

fn runner_with(env: &TestEnv, messenger: &Arc<Scripted>, limits: Limits) -> Arc<Runner> {
    let accounts = || Arc::clone(&env.app.stores.accounts);
    let clock = || Arc::clone(&env.clock) as Arc<dyn Clock>;
    let texts = Texts { app_name: "EdgeChat".to_owned(), public_url: "https://chat.example.com".to_owned() };
    let messenger = Arc::clone(messenger) as Arc<dyn Messenger>;
    let job: Arc<dyn Job> =
        Arc::new(Notify::new(accounts(), messenger, texts, env.app.one_time_secrets.clone(), clock()));
    Runner::new(accounts(), [job], clock(), Arc::new(SystemRandom), limits, env.app.jobs.clone())
}

fn away() -> Result<(), SendError> {
    Err(SendError::Unavailable("it does not answer".to_owned()))
}

#[tokio::test]
async fn notice_that_cannot_be_sent_is_sent_later_with_the_same_id() {
    let env = TestEnv::new().await;
    reuse(&env, &env.register("ada").await).await;
    let messenger = Scripted::new(&[away(), Err(SendError::Postponed("it is busy".to_owned())), Ok(())]);
    let runner = runner(&env, &messenger);
    for attempts in [1, 2, 3, 3] {
        runner.run_due().await;
        assert_eq!(messenger.ids().len(), attempts);
        env.clock.advance(DAY_MS);
    }
    let ids = messenger.ids();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn refused_notice_is_left_out() {
    let env = TestEnv::new().await;
    reuse(&env, &env.register("ada").await).await;
    let messenger = Scripted::new(&[Err(SendError::Refused("no such mailbox".to_owned()))]);
    let runner = runner(&env, &messenger);
    for _ in 0..3 {
        runner.run_due().await;
        env.clock.advance(DAY_MS);
    }
    assert_eq!(messenger.ids().len(), 1);
}

#[tokio::test]
async fn expired_code_is_not_sent() {
    let env = TestEnv::new().await;
    schedule_code(&env, &Address::Email("bob@example.com".to_owned()), CodePurpose::Login).await;
    let messenger = Scripted::new(&[away()]);
    let runner = runner(&env, &messenger);
    runner.run_due().await;
    env.clock.advance(299_999);
    runner.run_due().await;
    assert_eq!(messenger.ids().len(), 2);
    for _ in 0..3 {
        env.clock.advance(299_999);
        runner.run_due().await;
    }
    assert_eq!(messenger.ids().len(), 2);
}

#[tokio::test]
async fn message_without_a_channel_is_left_out() {
    let env = TestEnv::with(&[("EDGECHAT_ENV", "production")]).await;
    schedule_code(&env, &Address::Phone("+491701234567".to_owned()), CodePurpose::Login).await;
    let messenger = Scripted::new(&[Ok(())]);
    env.app.job_runner().run_due().await;
    env.clock.advance(60_000);
    runner(&env, &messenger).run_due().await;
    assert_eq!(messenger.ids(), [], "it is not sent later");
}

#[tokio::test]
async fn notice_is_sent_at_once_by_the_process_of_its_cause() {
    const BOUND: Duration = Duration::from_secs(20);
    let env = TestEnv::new().await;
    let messenger = Scripted::new(&[Ok(())]);
    let limits = Limits { pause: BOUND * 100, ..Limits::DEFAULT };
    let running = tokio::spawn(runner_with(&env, &messenger, limits).run(std::future::pending()));
    reuse(&env, &env.register("ada").await).await;
    let sent = async {
        while messenger.ids().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(BOUND, sent).await.unwrap();
    running.abort();
}
