//! Tests of refresh tokens, which are used once, may be repeated for ten seconds, and never again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use shared::{auth::refresh::ExchangeTerms, time::DAY_MS};

use super::test_env::{Answer, Call, Member, TestEnv, problem};
use crate::{
    auth::tokens::OpaqueToken,
    clock::Clock as _,
    jobs::notify::refresh_token_reused,
    store::{
        accounts::sessions::{RefreshExchange, RefreshOutcome, ReuseJob},
        contract::down,
        ephemeral::CacheGroup,
    },
};

async fn refresh(env: &TestEnv, token: &str) -> Answer {
    env.send(Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": token}))).await
}

async fn me(env: &TestEnv, access: &str) -> Answer {
    env.send(Call::get("/api/v1/auth/me").token(access)).await
}

#[tokio::test]
async fn refresh_token_is_exchanged_for_next_pair() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    env.clock.advance(60_000);
    let answer = refresh(&env, &first.refresh).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let second = Member::of(&answer.json());
    assert_eq!((second.id, second.session), (first.id, first.session));
    assert_ne!((&second.access, &second.refresh), (&first.access, &first.refresh));
    assert_eq!(me(&env, &second.access).await.status, 200);
    assert_eq!(me(&env, &first.access).await.status, 200);
}

#[tokio::test]
async fn refresh_again_within_ten_seconds_returns_same_pair() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    let second = Member::of(&refresh(&env, &first.refresh).await.json());
    env.clock.advance(10_000);
    let again = refresh(&env, &first.refresh).await;
    assert_eq!(again.json()["refresh_expires_in"], 604_790);
    assert_eq!(Member::of(&again.json()).refresh, second.refresh);
    env.clock.advance(1);
    assert_eq!(refresh(&env, &first.refresh).await.problem(), problem(401, "session_ended"));
    // The newer token is refused, too: one of the two was stolen.
    assert_eq!(refresh(&env, &second.refresh).await.problem(), problem(401, "session_ended"));
    assert_eq!(me(&env, &second.access).await.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn refresh_after_reuse_ends_session() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    let other = env
        .send(
            Call::post("/api/v1/auth/login")
                .json(&json!({"email": "ada@example.com", "password": "correct horse"})),
        )
        .await;
    let second = Member::of(&refresh(&env, &first.refresh).await.json());
    let third = Member::of(&refresh(&env, &second.refresh).await.json());
    assert_eq!(refresh(&env, &first.refresh).await.problem(), problem(401, "session_ended"));
    assert_eq!(refresh(&env, &third.refresh).await.problem(), problem(401, "session_ended"));
    // The user's other session is not affected.
    assert_eq!(me(&env, &Member::of(&other.json()).access).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_refreshes_get_same_successor() {
    let env = Arc::new(TestEnv::new().await);
    let mut token = env.register("ada").await.refresh;
    for _ in 0..4 {
        let racing: Vec<_> = (0..50)
            .map(|_| {
                let (env, token) = (Arc::clone(&env), token.clone());
                tokio::spawn(async move { Member::of(&refresh(&env, &token).await.json()) })
            })
            .collect();
        let mut successors = std::collections::BTreeSet::new();
        for racer in racing {
            let member = racer.await.unwrap();
            assert_eq!(me(&env, &member.access).await.status, 200);
            successors.insert(member.refresh);
        }
        assert_eq!(successors.len(), 1);
        token = successors.pop_first().unwrap();
    }
}

#[tokio::test]
async fn session_is_cached_for_one_minute_and_not_beyond_its_end() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    // Without the accounts only what is remembered lets a session in.
    let cut_off = without_accounts(&env);
    assert_eq!(me(&env, &ada.access).await.status, 200);
    env.clock.advance(59_999);
    let remembered = me(&cut_off, &ada.access).await;
    assert_eq!((remembered.status, &remembered.json()["email"]), (200, &json!("ada@example.com")));
    env.clock.advance(1);
    assert_eq!(me(&cut_off, &ada.access).await.problem(), problem(503, "store_unavailable"));
    assert_eq!(me(&env, &ada.access).await.status, 200);

    let mut last = env.register("bob").await;
    for _ in 0..5 {
        env.clock.advance(6 * DAY_MS - 6_000);
        last = Member::of(&refresh(&env, &last.refresh).await.json());
    }
    // Thirty seconds before the session's own end: cached for those and no longer.
    assert_eq!(me(&env, &last.access).await.status, 200);
    env.clock.advance(29_999);
    assert_eq!(me(&cut_off, &last.access).await.status, 200);
    env.clock.advance(1);
    assert_eq!(me(&cut_off, &last.access).await.problem(), problem(503, "store_unavailable"));
    assert_eq!(me(&env, &last.access).await.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn cached_session_admits_no_other_session() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let now = env.clock.now();
    assert_eq!(me(&env, &ada.access).await.status, 200);
    let (store, group) = (&env.app.stores.ephemeral, CacheGroup::SessionsOf);
    let found = store.cached(group(ada.id), &ada.session.to_string(), ada.id, now).await.value.unwrap();
    for entry in [found, b"nonsense".to_vec(), b"{}".to_vec()] {
        let name = eve.session.to_string();
        let lease = store.cached(group(eve.id), &name, eve.id, now).await.lease;
        store.fill(group(eve.id), &name, lease, entry, now.plus_millis(1_000), now).await;
        let answer = me(&env, &eve.access).await;
        assert_eq!((answer.status, &answer.json()["email"]), (200, &json!("eve@example.com")));
        store.invalidate(group(eve.id)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ended_session_is_refused_after_response() {
    for _ in 0..5 {
        let env = Arc::new(TestEnv::new().await);
        let first = env.register("ada").await;
        let second = Member::of(&refresh(&env, &first.refresh).await.json());
        env.clock.advance(10_001);
        let over = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..6)
            .map(|_| {
                let (env, over, access) = (Arc::clone(&env), Arc::clone(&over), second.access.clone());
                tokio::spawn(async move {
                    loop {
                        let was_over = over.load(Ordering::SeqCst);
                        let status = me(&env, &access).await.status;
                        assert!(status == 401 || (status == 200 && !was_over), "{status} after the end");
                        if was_over {
                            return;
                        }
                        // A cache hit never awaits anything; this lets the end run.
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        assert_eq!(me(&env, &second.access).await.status, 200);
        assert_eq!(refresh(&env, &first.refresh).await.problem(), problem(401, "session_ended"));
        over.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
    }
}

#[tokio::test]
async fn repeated_reuse_records_end_missing_in_cache() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    let second = Member::of(&refresh(&env, &first.refresh).await.json());
    env.clock.advance(10_001);
    assert_eq!(me(&env, &second.access).await.status, 200);
    // The accounts store has ended the session, and the process died before it wrote to the cache.
    let reuse = RefreshExchange {
        presented: OpaqueToken::decode(&first.refresh).unwrap().hash(),
        successors: vec![[7; 32]],
        terms: ExchangeTerms { successor_expires_at: env.clock.now(), now: env.clock.now(), grace_ms: 0 },
        ip: None,
        request_id: None,
        audit_id: env.app.random.id(env.clock.now()),
        event_id: env.app.random.id(env.clock.now()),
        on_reuse: ReuseJob { id: env.app.random.id(env.clock.now()), make: refresh_token_reused },
    };
    let ended = env.app.stores.accounts.exchange_refresh(reuse).await.unwrap();
    assert!(matches!(ended, RefreshOutcome::Reused { event } if event.user_id == first.id));
    assert_eq!(me(&env, &second.access).await.status, 200);
    assert_eq!(refresh(&env, &second.refresh).await.problem(), problem(401, "session_ended"));
    assert_eq!(me(&env, &second.access).await.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn unused_token_expires_and_session_ends_after_thirty_days() {
    let env = TestEnv::new().await;
    let unused = env.register("ada").await;
    let mut used = env.register("bob").await;
    env.clock.advance(7 * DAY_MS);
    assert_eq!(refresh(&env, &unused.refresh).await.problem(), problem(401, "token_invalid"));
    assert_eq!(refresh(&env, &used.refresh).await.problem(), problem(401, "token_invalid"));
    used = env.register("eve").await;
    for _ in 0..4 {
        env.clock.advance(6 * DAY_MS);
        used = Member::of(&refresh(&env, &used.refresh).await.json());
    }
    env.clock.advance(5 * DAY_MS);
    let last = refresh(&env, &used.refresh).await;
    assert_eq!(last.json()["refresh_expires_in"], DAY_MS / 1_000);
    env.clock.advance(DAY_MS);
    let over = refresh(&env, &Member::of(&last.json()).refresh).await;
    assert_eq!(over.problem(), problem(401, "token_invalid"));
}

/// The answer to an exchange that the accounts make and are not heard of, as a server that works off what it was sent before
/// it was stopped.
async fn refresh_unheard(env: &TestEnv, token: &str) -> Answer {
    let (tokens, now) = (&env.app.auth.tokens, env.clock.now());
    let presented = OpaqueToken::decode(token).unwrap();
    let exchange = RefreshExchange {
        presented: presented.hash(),
        successors: tokens.successors(&presented).iter().map(OpaqueToken::hash).collect(),
        terms: ExchangeTerms { successor_expires_at: tokens.refresh_expiry(now), now, grace_ms: 10_000 },
        ip: None,
        request_id: None,
        audit_id: env.app.random.id(env.clock.now()),
        event_id: env.app.random.id(now),
        on_reuse: ReuseJob { id: env.app.random.id(now), make: refresh_token_reused },
    };
    let exchanged = env.app.stores.accounts.exchange_refresh(exchange).await.unwrap();
    assert!(matches!(exchanged, RefreshOutcome::Exchanged { .. }));
    refresh(&without_accounts(env), token).await
}

fn without_accounts(env: &TestEnv) -> TestEnv {
    env.on_stores(|stores| stores.accounts = down::accounts())
}

#[tokio::test]
async fn exchange_left_undecided_by_outage_keeps_session() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    let undecided = refresh_unheard(&env, &first.refresh).await;
    assert_eq!(undecided.problem(), problem(503, "store_unavailable"));
    // The client comes back as it was told to, again and again, until the store is back.
    env.clock.advance(30_000);
    let again = refresh(&without_accounts(&env), &first.refresh).await;
    assert_eq!(again.problem(), problem(503, "store_unavailable"));
    env.clock.advance(10 * 60_000 - 30_001);
    let second = Member::of(&refresh(&env, &first.refresh).await.json());
    assert_eq!((second.id, second.session), (first.id, first.session));
    assert_eq!(me(&env, &second.access).await.status, 200);
    let third = Member::of(&refresh(&env, &second.refresh).await.json());
    assert_eq!(me(&env, &third.access).await.status, 200);
}

#[tokio::test]
async fn undecided_exchange_is_forgiven_for_ten_minutes() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    assert_eq!(refresh_unheard(&env, &first.refresh).await.status, 503);
    env.clock.advance(10 * 60_000 + 1);
    assert_eq!(refresh(&env, &first.refresh).await.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn reuse_after_successor_use_ends_session_despite_outage() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    assert_eq!(refresh_unheard(&env, &first.refresh).await.status, 503);
    let second = Member::of(&refresh(&env, &first.refresh).await.json());
    assert_eq!(refresh(&env, &second.refresh).await.status, 200);
    assert_eq!(refresh(&env, &first.refresh).await.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn exchange_without_record_is_not_undecided() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    assert_eq!(refresh_unheard(&env, &first.refresh).await.status, 503);
    env.clock.advance(30_000);
    let forgetful = env.on_stores(|stores| stores.ephemeral = down::ephemeral());
    assert_eq!(refresh(&forgetful, &first.refresh).await.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn malformed_refresh_token_is_refused() {
    let env = TestEnv::new().await;
    let member = env.register("ada").await;
    for token in ["", "nonsense", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(refresh(&env, token).await.problem(), problem(401, "token_invalid"), "{token}");
    }
    let too_long = refresh(&env, &member.access).await;
    assert_eq!(too_long.problem(), problem(422, "validation_failed"));
    assert_eq!(refresh(&env, &member.refresh).await.status, 200);
}
