//! The figures on the origin's private port count exactly what came, and nobody reads them anywhere else.

use std::{fs, path::Path};

use edgechat_tests::{scrape::Scrape, test_env::TestEnv};
use serde_json::Value;
use shared::api::ErrorCode;
use tokio::net::TcpListener;

async fn measured_world() -> TestEnv {
    TestEnv::setup().var("METRICS_ADDR", "127.0.0.1:0").start().await
}

#[tokio::test]
async fn metrics_after_turns_count_requests_store_calls_and_deliveries() {
    let env = measured_world().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    for text in ["One", "Two", "Three"] {
        phone.send_and_persist(conversation, text).await;
    }
    let scrape = Scrape::of(&env).await;
    let requests = |method: &str, route: &str, status: u16| {
        let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
        scrape.count(&format!("edgechat_http_request_duration_seconds_count{{{labels}}}"))
    };
    assert_eq!(requests("POST", "/api/v1/auth/register", 201), 1);
    assert_eq!(requests("POST", "/api/v1/chat/conversations", 201), 1);
    assert_eq!(requests("POST", "/internal/v1/turns", 200), 3);
    assert_eq!(requests("GET", "/internal/v1/conversations/{id}/context", 200), 1);
    assert_eq!(scrape.count("edgechat_deliveries_total{outcome=\"accepted\"}"), 3);
    assert_eq!(scrape.count("edgechat_deliveries_total{outcome=\"repeated\"}"), 0);
    assert_eq!(scrape.count("edgechat_delivery_wait_seconds_count"), 3);
    assert_eq!(scrape.count("edgechat_outbox_depth_bucket{le=\"0\"}"), 3);
    let calls = |store: &str, operation: &str| {
        let start = format!("edgechat_store_call_duration_seconds_count{{store=\"{store}\",backend=");
        let end = format!("operation=\"{operation}\",outcome=\"ok\"}}");
        let line = scrape.text().lines().find(|line| line.starts_with(&start) && line.contains(&end));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok())
    };
    assert_eq!(calls("accounts", "register"), Some(1));
    assert_eq!(calls("accounts", "record_usage"), Some(3));
    assert_eq!(calls("chats", "create_conversation"), Some(1));
    assert_eq!(calls("chats", "record_turn"), Some(3));
    let text = scrape.text();
    assert!(!text.contains(&conversation.to_string()), "{text}");
}

#[tokio::test]
async fn metrics_are_nowhere_but_on_the_private_port() {
    let env = measured_world().await;
    let phone = env.phone().await;
    let (edge, origin) = (env.client(), env.client_of_origin());
    for path in ["/metrics", "/metrics/", "/api/v1/metrics"] {
        for client in [&edge, &phone.client, &origin] {
            client.get(path).send().await.problem(ErrorCode::NotFound);
        }
    }
}

#[tokio::test]
async fn delivery_after_outage_reports_wait_and_backlog() {
    let mut env = measured_world().await;
    let phone = env.phone().await;
    let (one, two) = (phone.conversation().await, phone.conversation().await);
    for conversation in [one, two] {
        phone.send_and_persist(conversation, "Before").await;
    }
    let first = env.say_without_origin(&phone, one, "One").await;
    let second = phone.send_message(two, "Two").await;
    assert!(!second.persisted);
    env.start_origin().await;
    for turn in [first.turn_id, second.turn_id] {
        phone.persisted(turn).await;
    }
    let scrape = Scrape::of(&env).await;
    assert_eq!(scrape.count("edgechat_deliveries_total{outcome=\"accepted\"}"), 2);
    assert_eq!(scrape.count("edgechat_delivery_wait_seconds_count"), 2);
    // Each waited for its second attempt, three quarters of a second at least.
    assert_eq!(scrape.count("edgechat_delivery_wait_seconds_bucket{le=\"0.2\"}"), 0);
    assert_eq!(scrape.count("edgechat_outbox_depth_bucket{le=\"0\"}"), 1);
    assert_eq!(scrape.count("edgechat_outbox_depth_bucket{le=\"1\"}"), 2);
}

#[tokio::test]
async fn delivery_that_the_origin_has_already_is_counted_as_repeated() {
    let mut env = measured_world().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let sent = phone.send_and_persist(conversation, "Hello").await;
    // The note of a delivery is written with the next turn: a process that dies before delivers again.
    env.kill_workerd().await;
    env.start_workerd().await;
    phone.persisted(sent.turn_id).await;
    let scrape = Scrape::of(&env).await;
    assert_eq!(scrape.count("edgechat_deliveries_total{outcome=\"accepted\"}"), 1);
    // The object's alarm and whoever asks for the turn may both have found it undelivered.
    let repeated = scrape.count("edgechat_deliveries_total{outcome=\"repeated\"}");
    assert!((1..=2).contains(&repeated), "{repeated}");
}

#[tokio::test]
async fn dashboard_asks_for_metrics_that_exist() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let setup = TestEnv::setup().var("METRICS_ADDR", "127.0.0.1:0");
    let env = setup.var("OTEL_EXPORTER_OTLP_ENDPOINT", collector).start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "Hello").await;
    env.origin_log().wait_for("spans cannot be sent").await;
    let scrape = Scrape::of(&env).await;
    let names = scrape.names();

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/edgechat.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(expressions.len() > 20, "{expressions:?}");
    for expression in expressions {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let mut asked =
            words.filter(|word| word.starts_with("edgechat_") || word.starts_with("process_")).peekable();
        assert!(asked.peek().is_some(), "{expression} asks for no metric");
        for name in asked {
            assert!(names.contains(name), "{expression}: no {name} in {names:?}");
        }
    }
}
