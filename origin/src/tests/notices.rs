//! Notices to users by e-mail.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::time::DAY_MS;

use super::test_env::{Call, Member, TestEnv, problem};
use crate::{
    clock::Clock,
    jobs::{Job, Runner, notify::Notify, runner::Limits},
    notify::{Mail, MailError, Mailer},
    random::SystemRandom,
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

async fn mails(env: &TestEnv) -> Vec<Value> {
    env.app.job_runner().run_due().await;
    let answer = env.send(Call::get("/dev/mailbox")).await;
    assert_eq!(answer.status, 200);
    answer.json()["items"].as_array().unwrap().clone()
}

async fn sign_in(env: &TestEnv) -> Member {
    let body = json!({"email": "ada@example.com", "password": "correct horse"});
    Member::of(&env.send(Call::post("/api/v1/auth/login").json(&body)).await.json())
}

#[tokio::test]
async fn session_ended_by_reuse_is_mailed_once_a_day() {
    let env = TestEnv::with(&[("APP_NAME", "Chatty")]).await;
    let ada = env.register("ada").await;
    assert_eq!(mails(&env).await, Vec::<Value>::new());
    reuse(&env, &ada).await;
    let sent = mails(&env).await;
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
    assert_eq!(mails(&env).await.len(), 1, "another session on the same day");
    env.clock.advance(DAY_MS);
    reuse(&env, &sign_in(&env).await).await;
    assert_eq!(mails(&env).await.len(), 2);
}

#[tokio::test]
async fn production_has_no_mailbox() {
    let env = TestEnv::with(&[("EDGECHAT_ENV", "production")]).await;
    assert_eq!(env.send(Call::get("/dev/mailbox")).await.problem(), problem(404, "not_found"));
}

/// A mailer that takes the third attempt.
#[derive(Default)]
struct Unsteady(AtomicU32);

#[async_trait]
impl Mailer for Unsteady {
    async fn send(&self, _: Mail) -> Result<(), MailError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(MailError("the server is away".to_owned())),
            _ => Ok(()),
        }
    }
}

/// A runner of notices with this mailer, on the stores of this environment.
fn runner(env: &TestEnv, mailer: Option<Arc<dyn Mailer>>) -> Arc<Runner> {
    let accounts = || Arc::clone(&env.app.stores.accounts);
    let job: Arc<dyn Job> = Arc::new(Notify::new(accounts(), mailer, "EdgeChat".to_owned()));
    let clock = Arc::clone(&env.clock) as Arc<dyn Clock>;
    Runner::new(accounts(), [job], clock, Arc::new(SystemRandom), Limits::DEFAULT)
}

#[tokio::test]
async fn notice_that_cannot_be_sent_is_sent_later() {
    let env = TestEnv::new().await;
    reuse(&env, &env.register("ada").await).await;
    let mailer = Arc::new(Unsteady::default());
    let runner = runner(&env, Some(Arc::clone(&mailer) as Arc<dyn Mailer>));
    for attempts in [1, 2, 3, 3] {
        runner.run_due().await;
        assert_eq!(mailer.0.load(Ordering::SeqCst), attempts);
        env.clock.advance(DAY_MS);
    }
}

#[tokio::test]
async fn notice_without_a_mailer_is_left_out() {
    let env = TestEnv::new().await;
    reuse(&env, &env.register("ada").await).await;
    runner(&env, None).run_due().await;
    env.clock.advance(DAY_MS);
    assert_eq!(mails(&env).await, Vec::<Value>::new(), "it is not sent later");
}
