//! Tests of a user's own account: sessions, profile, audit trail.

use serde_json::{Value, json};
use shared::{
    id::Id,
    time::{DAY_MS, SECOND_MS},
};

use super::test_env::{Answer, Call, Member, TestEnv, problem};
use crate::{clock::Clock as _, store::contract::down};

const SESSIONS: &str = "/api/v1/auth/sessions";
const ME: &str = "/api/v1/users/me";
const EVENTS: &str = "/api/v1/users/me/events";
pub(super) const CONSENTS: &str = "/api/v1/users/me/consents";
const IPHONE: &str = "EdgeChat/12 CFNetwork/1494.0.7 Darwin/23.4.0";

pub(super) async fn get(env: &TestEnv, member: &Member, path: &str) -> Value {
    let answer = env.send(Call::get(path).token(&member.access)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.json()
}

async fn end(env: &TestEnv, member: &Member, session: Id) -> Answer {
    env.send(Call::new("DELETE", format!("{SESSIONS}/{session}")).token(&member.access)).await
}

async fn patch(env: &TestEnv, member: &Member, body: &Value) -> Answer {
    env.send(Call::new("PATCH", ME).token(&member.access).json(body)).await
}

/// A sign-in as the Worker passes it on.
async fn try_sign_in(env: &TestEnv, password: &str, device: &str, user_agent: &str, ip: &str) -> Answer {
    let body = json!({"email": "ada@example.com", "password": password, "device_name": device});
    let call = Call::post("/api/v1/auth/login").json(&body).header("User-Agent", user_agent);
    env.send(env.sign(call, ip)).await
}

async fn sign_in(env: &TestEnv, device: &str, user_agent: &str, ip: &str) -> Member {
    let answer = try_sign_in(env, "correct horse", device, user_agent, ip).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    Member::of(&answer.json())
}

/// A field of every item of a list.
fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a Value> {
    list["items"].as_array().unwrap().iter().map(|item| &item[field]).collect()
}

/// The kinds of all events of a user, newest first. A failed sign-in is noted after its answer.
pub(super) async fn kinds(env: &TestEnv, member: &Member) -> Vec<String> {
    env.app.auth.flush().await;
    let events = get(env, member, &format!("{EVENTS}?limit=100")).await;
    each(&events, "kind").into_iter().map(|kind| kind.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn sessions_are_listed_with_their_devices() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    env.clock.advance(1_000);
    let second = sign_in(&env, "Ada's phone", IPHONE, "2001:db8:1:2::7").await;
    env.clock.advance(SECOND_MS);
    let call = Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": second.refresh}));
    let refreshed = Member::of(&env.send(env.sign(call, "::ffff:203.0.113.9")).await.json());
    let (signed_in, used) = (env.clock.now().plus_millis(-SECOND_MS), env.clock.now());
    let list = get(&env, &refreshed, SESSIONS).await;
    let expected = json!({
        "id": second.session,
        "device_name": "Ada's phone",
        "platform": "ios",
        "ip": "203.0.113.9",
        "current": true,
        "created_at": signed_in,
        "last_used_at": used,
        "expires_at": used.plus_millis(7 * DAY_MS),
    });
    assert_eq!((&list["items"][0], &list["next_cursor"]), (&expected, &Value::Null));
    let other = &list["items"][1];
    assert_eq!((&other["id"], &other["current"]), (&json!(first.session), &json!(false)));
    assert_eq!(
        [&other["device_name"], &other["platform"], &other["ip"]],
        [&Value::Null, &Value::Null, &json!("127.0.0.1")]
    );
    assert_eq!(each(&list, "id").len(), 2);

    // Pages, and a cursor of another list.
    let page = get(&env, &first, &format!("{SESSIONS}?limit=1")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = get(&env, &first, &format!("{SESSIONS}?limit=1&cursor={cursor}")).await;
    assert_eq!((each(&rest, "id"), &rest["next_cursor"]), (vec![&json!(first.session)], &Value::Null));
    let wrong = env.send(Call::get(format!("{EVENTS}?cursor={cursor}")).token(&first.access)).await;
    assert_eq!(wrong.problem(), problem(422, "validation_failed"));

    // The refresh token of the first expires seven days after the sign-up.
    env.clock.advance(7 * DAY_MS - SECOND_MS);
    let call = Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": refreshed.refresh}));
    let again = Member::of(&env.send(call).await.json());
    assert_eq!(each(&get(&env, &again, SESSIONS).await, "id"), [&json!(second.session)]);
}

#[tokio::test]
async fn session_is_ended_by_its_user_alone() {
    let env = TestEnv::new().await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    let phone = sign_in(&env, "Phone", "okhttp/5.3.0", "203.0.113.7").await;
    let theirs = end(&env, &eve, phone.session).await;
    assert_eq!(theirs.problem(), problem(404, "not_found"));
    let absent = end(&env, &eve, env.app.random.id(env.clock.now())).await;
    assert_eq!(absent.problem_body(), theirs.problem_body());
    let malformed = env.send(Call::new("DELETE", format!("{SESSIONS}/one")).token(&ada.access)).await;
    assert_eq!(malformed.problem_body(), theirs.problem_body());
    assert_eq!(each(&get(&env, &ada, SESSIONS).await, "current").len(), 2);

    let ended = end(&env, &ada, phone.session).await;
    assert_eq!((ended.status, ended.body.len()), (204, 0));
    let refused = env.send(Call::get(ME).token(&phone.access)).await;
    assert_eq!(refused.problem(), problem(401, "session_ended"));
    env.clock.advance(SECOND_MS);
    assert_eq!(end(&env, &ada, phone.session).await.problem_body(), theirs.problem_body(), "it has ended");
    assert_eq!(each(&get(&env, &ada, SESSIONS).await, "id"), [&json!(ada.session)]);
    assert_eq!(end(&env, &ada, ada.session).await.status, 204, "its own");
    assert_eq!(env.send(Call::get(ME).token(&ada.access)).await.problem(), problem(401, "session_ended"));
}

#[tokio::test]
async fn hundred_and_first_session_ends_the_one_unused_for_longest() {
    let env = TestEnv::new().await;
    let first = env.register("ada").await;
    let mut members = Vec::new();
    for number in 0..99 {
        env.clock.advance(SECOND_MS);
        members.push(sign_in(&env, "Phone", "", &format!("203.0.{number}.7")).await);
    }
    env.clock.advance(SECOND_MS);
    let call = Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": first.refresh}));
    let first = Member::of(&env.send(call).await.json());
    assert_eq!(each(&get(&env, &first, &format!("{SESSIONS}?limit=100")).await, "id").len(), 100);
    env.clock.advance(SECOND_MS);
    sign_in(&env, "Phone", "", "198.51.100.7").await;
    let listed = get(&env, &first, &format!("{SESSIONS}?limit=100")).await;
    assert_eq!(each(&listed, "id").len(), 100);
    assert!(each(&listed, "id").contains(&&json!(first.session)));
    let ended = env.send(Call::get(ME).token(&members[0].access)).await;
    assert_eq!(ended.problem(), problem(401, "session_ended"));
    let event = &get(&env, &first, &format!("{EVENTS}?limit=2")).await["items"];
    let kinds = [&event[0]["kind"], &event[1]["kind"]];
    assert!(kinds.contains(&&json!("session_ended")) && kinds.contains(&&json!("signed_in")), "{event}");
}

#[tokio::test]
async fn profile_change_is_seen_at_once_by_every_session() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    env.clock.advance(SECOND_MS);
    let other = sign_in(&env, "Phone", "", "203.0.113.7").await;
    let before = get(&env, &other, ME).await;
    let body = json!({
        "display_name": "Ada 🦀",
        "avatar_url": "https://example.com/ada.png",
        "locale": "de-ch",
        "timezone": "europe/zurich",
        "email": "eve@example.com",
    });
    env.clock.advance(SECOND_MS);
    let answer = patch(&env, &ada, &body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let mut expected = before;
    for (field, value) in [
        ("display_name", "Ada 🦀"),
        ("avatar_url", "https://example.com/ada.png"),
        ("locale", "de-CH"),
        ("timezone", "Europe/Zurich"),
    ] {
        expected[field] = value.into();
    }
    assert_eq!(answer.json(), expected);
    for member in [&ada, &other] {
        assert_eq!(get(&env, member, ME).await, expected);
    }
    assert_eq!(patch(&env, &other, &json!({})).await.json(), expected);
    assert_eq!(patch(&env, &other, &body).await.json(), expected);
    env.clock.advance(SECOND_MS);
    expected["display_name"] = Value::Null;
    expected["timezone"] = Value::Null;
    let cleared = patch(&env, &other, &json!({"display_name": null, "timezone": null})).await;
    assert_eq!((cleared.json(), get(&env, &ada, ME).await), (expected.clone(), expected));
    assert_eq!(
        kinds(&env, &ada).await,
        ["profile_changed", "profile_changed", "signed_in", "signed_up"],
        "what changes nothing is not noted"
    );
}

#[tokio::test]
async fn wrong_profile_names_its_field_and_changes_nothing() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let before = get(&env, &ada, ME).await;
    for (field, value) in [
        ("display_name", json!("")),
        ("display_name", json!("a\nb")),
        ("display_name", json!(["Ada"])),
        ("avatar_url", json!("http://example.com/ada.png")),
        ("avatar_url", json!("https://ada:secret@example.com/ada.png")),
        ("locale", json!("en_US")),
        ("timezone", json!("Europe/Atlantis")),
        ("timezone", json!(60)),
    ] {
        let mut body = json!({"display_name": "Eve", "locale": "fr"});
        body[field] = value;
        let answer = patch(&env, &ada, &body).await;
        assert_eq!(answer.problem(), problem(422, "validation_failed"), "{body}");
        let fields: Vec<_> =
            answer.json()["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
        assert_eq!(fields, [field], "{body}");
    }
    assert_eq!(get(&env, &ada, ME).await, before);
}

#[tokio::test]
async fn audit_trail_tells_the_life_of_an_account() {
    let env = TestEnv::with(&[("CONSENTS_REQUIRED", "terms=2")]).await;
    let (ada, eve) = (env.register("ada").await, env.register("eve").await);
    env.clock.advance(SECOND_MS);
    let wrong = try_sign_in(&env, "wrong horse", "Tablet", "okhttp/5.3.0", "198.51.100.7").await;
    assert_eq!(wrong.problem(), problem(401, "invalid_credentials"));
    env.app.auth.flush().await;
    env.clock.advance(SECOND_MS);
    let phone = sign_in(&env, "Phone", IPHONE, "203.0.113.7").await;
    env.clock.advance(SECOND_MS);
    assert_eq!(patch(&env, &phone, &json!({"display_name": "Ada"})).await.status, 200);
    env.clock.advance(SECOND_MS);
    let consent = Call::post(CONSENTS).token(&ada.access).json(&json!({"document": "terms", "version": "2"}));
    assert_eq!(env.send(consent).await.status, 201);
    env.clock.advance(SECOND_MS);
    let end = Call::new("DELETE", format!("{SESSIONS}/{}", phone.session)).token(&ada.access);
    let end = env.send(end.header("X-Request-ID", "my-request-7")).await;
    assert_eq!((end.status, end.header("x-request-id")), (204, "my-request-7"));
    env.clock.advance(SECOND_MS);

    let events = get(&env, &ada, EVENTS).await;
    assert_eq!(events["next_cursor"], Value::Null);
    let row = |event: &Value| {
        let text = |field: &str| event[field].as_str().unwrap_or("-").to_owned();
        let session = match &event["session_id"] {
            Value::Null => "-",
            id if *id == json!(phone.session) => "phone",
            id if *id == json!(ada.session) => "first",
            _ => "another",
        };
        format!("{} {session} {} {}", text("kind"), text("device_name"), text("ip"))
    };
    let rows: Vec<_> = events["items"].as_array().unwrap().iter().map(row).collect();
    assert_eq!(
        rows,
        [
            "session_ended phone Phone 127.0.0.1",
            "consent_given first - 127.0.0.1",
            "profile_changed phone Phone 127.0.0.1",
            "signed_in phone Phone 203.0.113.7",
            "sign_in_failed - Tablet 198.51.100.7",
            "signed_up first - 127.0.0.1",
        ]
    );
    let newest = &events["items"][0];
    assert_eq!(newest["request_id"], "my-request-7");
    assert_eq!(newest["at"], json!(env.clock.now().plus_millis(-SECOND_MS)));
    assert!(each(&events, "request_id").iter().all(|id| id.is_string()));

    let page = get(&env, &ada, &format!("{EVENTS}?limit=4")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = get(&env, &ada, &format!("{EVENTS}?limit=4&cursor={cursor}")).await;
    assert_eq!(each(&rest, "kind"), ["sign_in_failed", "signed_up"]);
    assert_eq!(kinds(&env, &eve).await, ["signed_up"], "another user's");

    assert_eq!(env.send(Call::post("/api/v1/auth/logout-all").token(&ada.access)).await.status, 204);
    let again = sign_in(&env, "Phone", IPHONE, "203.0.113.7").await;
    let kinds = kinds(&env, &again).await;
    assert!(kinds[..2].contains(&"sessions_ended".to_owned()), "{kinds:?}");
}

#[tokio::test]
async fn reused_refresh_token_is_in_the_audit_trail_with_its_address() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let refresh = async |ip: &str| {
        let call = Call::post("/api/v1/auth/refresh").json(&json!({"refresh_token": ada.refresh}));
        env.send(env.sign(call, ip)).await.status
    };
    assert_eq!(refresh("203.0.113.7").await, 200);
    env.clock.advance(10_001);
    assert_eq!((refresh("198.51.100.7").await, refresh("198.51.100.7").await), (401, 401));
    env.clock.advance(SECOND_MS);
    let again = sign_in(&env, "Phone", "", "203.0.113.7").await;
    let events = get(&env, &again, EVENTS).await;
    assert_eq!(each(&events, "kind"), ["signed_in", "refresh_token_reused", "signed_up"]);
    let reuse = &events["items"][1];
    assert_eq!((&reuse["ip"], &reuse["session_id"]), (&json!("198.51.100.7"), &json!(ada.session)));
}

#[tokio::test]
async fn failed_sign_ins_are_noted_fifty_times_a_day() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let mut devices = vec![ada];
    for _ in 0..5 {
        devices.push(sign_in(&env, "Phone", "", "203.0.113.7").await);
    }
    let fail = async |count: usize| {
        for number in 0..count {
            // Ten guesses are free for each device that signed in.
            let body = json!({"email": "ada@example.com", "password": "wrong horse"});
            let call = Call::post("/api/v1/auth/login").json(&body).token(&devices[number / 10].access);
            let answer = env.send(env.sign(call, "198.51.100.7")).await;
            assert_eq!(answer.problem(), problem(401, "invalid_credentials"));
        }
    };
    fail(60).await;
    assert_eq!(kinds(&env, &devices[0]).await.len(), 6 + 50);
    env.clock.advance(DAY_MS);
    fail(3).await;
    let again = sign_in(&env, "Phone", "", "203.0.113.7").await;
    assert_eq!(kinds(&env, &again).await.len(), 6 + 50 + 4);
}

#[tokio::test]
async fn audit_trail_is_forgotten_after_a_year() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    let (runner, accounts) = (env.app.job_runner(), &env.app.stores.accounts);
    let count = async || accounts.audit_events(ada.id, None, 10).await.unwrap().len();
    env.clock.advance(365 * DAY_MS);
    runner.run_due().await;
    assert_eq!(count().await, 1);
    env.clock.advance(3_600 * SECOND_MS);
    runner.run_due().await;
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn account_without_its_store_is_unavailable() {
    let env = TestEnv::new().await;
    let ada = env.register("ada").await;
    get(&env, &ada, ME).await;
    let away = env.on_stores(|stores| stores.accounts = down::accounts());
    for path in [SESSIONS, EVENTS, CONSENTS] {
        let answer = away.send(Call::get(path).token(&ada.access)).await;
        assert_eq!(answer.problem(), problem(503, "store_unavailable"), "{path}");
    }
    let changed = patch(&away, &ada, &json!({"display_name": "Ada"})).await;
    assert_eq!(changed.problem(), problem(503, "store_unavailable"));
}
