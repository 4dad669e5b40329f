//! The user's own account, by the Worker: sessions of two devices, the profile, the audit trail, consents.

use edgechat_tests::{
    client::{Phone, turn_path},
    test_env::TestEnv,
    wait::{BOUND, until},
};
use reqwest::Method;
use serde_json::{Value, json};
use shared::api::{
    ErrorCode,
    account::{AccountEvent, AccountEventKind, Consents, Platform, Session, User},
    page::Page,
};

const SESSIONS: &str = "/api/v1/auth/sessions";
const ME: &str = "/api/v1/users/me";
const EVENTS: &str = "/api/v1/users/me/events";
const CONSENTS: &str = "/api/v1/users/me/consents";
/// The headers of another device.
const TABLET: [(&str, &str); 2] = [("User-Agent", "okhttp/5.3.0"), ("CF-Connecting-IP", "203.0.113.7")];

async fn sessions(phone: &Phone) -> Vec<Session> {
    phone.client.get(SESSIONS).send().await.expect_status(200).json::<Page<Session>>().items
}

async fn events(phone: &Phone) -> Vec<AccountEvent> {
    phone.client.get(EVENTS).send().await.expect_status(200).json::<Page<AccountEvent>>().items
}

async fn me(phone: &Phone) -> User {
    phone.client.get(ME).send().await.expect_status(200).json()
}

#[tokio::test]
async fn session_ended_from_another_device_is_refused_while_origin_is_away() {
    let mut env = TestEnv::start().await;
    let phone = env.phone().await;
    let tablet = phone.sign_in_on("Ada's tablet", &TABLET).await;
    let turn = tablet.send_and_persist(tablet.conversation().await, "Hello").await.turn_id;

    let listed = sessions(&phone).await;
    let rows: Vec<_> = listed.iter().map(|session| (session.id, session.current)).collect();
    assert_eq!(rows, [(tablet.tokens.session_id, false), (phone.tokens.session_id, true)]);
    assert_eq!(listed[0].device_name.as_deref(), Some("Ada's tablet"));
    assert_eq!(listed[0].platform, Some(Platform::Android));
    assert_eq!(listed[0].ip.as_deref(), Some("203.0.113.7"));
    let theirs = sessions(&tablet).await;
    assert_eq!(theirs.iter().map(|session| session.current).collect::<Vec<_>>(), [true, false]);

    let path = format!("{SESSIONS}/{}", tablet.tokens.session_id);
    let eve = env.phone().await;
    eve.client.ask(Method::DELETE, &path).send().await.problem(ErrorCode::NotFound);
    let _ = tablet.client.get(&turn_path(turn)).send().await.expect_status(200);
    let _ = phone.client.ask(Method::DELETE, &path).send().await.expect_status(204);
    phone.client.ask(Method::DELETE, &path).send().await.problem(ErrorCode::NotFound);
    assert_eq!(sessions(&phone).await.len(), 1);

    env.kill_origin().await;
    tablet.client.get(&turn_path(turn)).send().await.problem(ErrorCode::SessionEnded);
    let _ = phone.client.get(&turn_path(turn)).send().await.expect_status(200);
}

#[tokio::test]
async fn profile_change_is_seen_at_once_on_every_device() {
    let env = TestEnv::start().await;
    let phone = env.phone().await;
    let tablet = phone.sign_in_again().await;
    let before = me(&tablet).await;
    let change = json!({ "display_name": "Ada 🦀", "locale": "de-ch", "timezone": "europe/zurich" });
    let changed: User =
        phone.client.ask(Method::PATCH, ME).json(&change).send().await.expect_status(200).json();
    let expected = User {
        display_name: Some("Ada 🦀".to_owned()),
        locale: Some("de-CH".to_owned()),
        timezone: Some("Europe/Zurich".to_owned()),
        ..before
    };
    assert_eq!(changed, expected);
    assert_eq!(me(&tablet).await, expected);
    let wrong = json!({ "locale": "fr", "timezone": "Europe/Atlantis" });
    let problem =
        tablet.client.ask(Method::PATCH, ME).json(&wrong).send().await.problem(ErrorCode::ValidationFailed);
    assert_eq!(problem.errors.iter().map(|error| &*error.field).collect::<Vec<_>>(), ["timezone"]);
    let cleared = json!({ "display_name": null });
    let _ = tablet.client.ask(Method::PATCH, ME).json(&cleared).send().await.expect_status(200);
    assert_eq!(me(&phone).await, User { display_name: None, ..expected });
}

#[tokio::test]
async fn audit_trail_tells_the_life_of_an_account() {
    let env = TestEnv::setup().var("CONSENTS_REQUIRED", "terms=2026-10-01").start().await;
    let phone = env.phone().await;
    let wrong = json!({ "email": phone.email(), "password": "a wrong password", "device_name": "Attic" });
    let anonymous = phone.client.anonymous();
    anonymous.post("/api/v1/auth/login").json(&wrong).send().await.problem(ErrorCode::InvalidCredentials);
    // It is noted after its answer.
    until(BOUND, "the failed sign-in", || async { (events(&phone).await.len() == 2).then_some(()) }).await;
    let tablet = phone.sign_in_on("Tablet", &TABLET).await;
    let change = json!({ "display_name": "Ada" });
    let ask = tablet.client.ask(Method::PATCH, ME).header("X-Request-ID", "change-1").json(&change);
    // The harness registers as Ada: nothing changes, and nothing is noted.
    let _ = ask.send().await.expect_status(200);
    let change = json!({ "display_name": "Ada L." });
    let ask = tablet.client.ask(Method::PATCH, ME).header("X-Request-ID", "change-2").json(&change);
    let _ = ask.send().await.expect_status(200);

    let open: Consents = phone.client.get(CONSENTS).send().await.expect_status(200).json();
    assert!(open.items[0].required && open.items[0].version.is_none(), "{open:?}");
    let consent = json!({ "document": "terms", "version": "2026-10-01" });
    let first: Value = phone.client.post(CONSENTS).json(&consent).send().await.expect_status(201).value();
    let again: Value = tablet.client.post(CONSENTS).json(&consent).send().await.expect_status(200).value();
    assert_eq!(again, first);
    let given: Consents = phone.client.get(CONSENTS).send().await.expect_status(200).json();
    assert_eq!(given.items[0].version, given.items[0].current_version);

    let path = format!("{SESSIONS}/{}", tablet.tokens.session_id);
    let _ = phone.client.ask(Method::DELETE, &path).send().await.expect_status(204);
    let trail = events(&phone).await;
    let rows: Vec<_> = trail
        .iter()
        .map(|event| (event.kind.as_str(), event.session_id, event.device_name.as_deref()))
        .collect();
    let (first, second) = (Some(phone.tokens.session_id), Some(tablet.tokens.session_id));
    assert_eq!(
        rows,
        [
            (AccountEventKind::SessionEnded.as_str(), second, Some("Tablet")),
            (AccountEventKind::ConsentGiven.as_str(), first, None),
            (AccountEventKind::ProfileChanged.as_str(), second, Some("Tablet")),
            (AccountEventKind::SignedIn.as_str(), second, Some("Tablet")),
            (AccountEventKind::SignInFailed.as_str(), None, Some("Attic")),
            (AccountEventKind::SignedUp.as_str(), first, None),
        ]
    );
    assert_eq!(trail[2].request_id.as_deref(), Some("change-2"));
    assert_eq!(trail[3].ip.as_deref(), Some("203.0.113.7"));
    assert!(trail.iter().all(|event| event.request_id.is_some()), "{trail:?}");
}
