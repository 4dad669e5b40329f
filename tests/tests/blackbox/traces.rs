//! A request is one tree of spans, whatever parts it goes through, and nobody waits for a collector.

use edgechat_tests::{
    client::PASSWORD,
    collector::{Collector, Span},
    test_env::{Setup, TestEnv},
};
use serde_json::{Value, json};

/// OTLP's numbers of the sides of a call.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn traced(collector: &Collector) -> Setup {
    TestEnv::setup().var("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
}

fn traceparent(is_sampled: bool) -> String {
    format!("00-{TRACE_ID}-{CALLER}-0{}", u8::from(is_sampled))
}

/// The only span of this name.
fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = found.as_slice() else { panic!("{} spans {name} in {spans:#?}", found.len()) };
    span
}

#[tokio::test]
async fn request_to_the_origin_is_a_span_with_its_store_calls_below_the_callers() {
    let collector = Collector::start().await;
    let headers = "api-key=a%20secret";
    let env =
        traced(&collector).var("OTEL_EXPORTER_OTLP_HEADERS", headers).var("LOG_FORMAT", "json").start().await;
    let origin = env.client_of_origin();
    let path = "/api/v1/auth/register";
    for (is_sampled, email) in [(false, "one@example.com"), (true, "two@example.com")] {
        let body = json!({ "email": email, "password": PASSWORD, "display_name": "Ada" });
        let reply =
            origin.post(path).header("traceparent", &traceparent(is_sampled)).json(&body).send().await;
        assert_eq!(reply.status, 201);
    }
    let spans = collector.wait("two spans", |spans| spans.len() >= 2).await;
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let request = one(&spans, "POST /api/v1/auth/register");
    assert_eq!(
        (request.trace_id.as_str(), request.parent.as_str(), request.kind),
        (TRACE_ID, CALLER, SERVER)
    );
    assert_eq!(request.service, "edgechat-origin");
    let attributes = ["http.request.method", "http.route", "http.response.status_code"];
    assert_eq!(attributes.map(|key| request.attribute(key)), ["POST", path, "201"]);
    let call = one(&spans, "register accounts");
    assert_eq!((&call.trace_id, &call.parent, call.kind), (&request.trace_id, &request.span_id, CLIENT));
    assert_eq!(call.attribute("db.operation.name"), "register");
    assert!(request.times_ns.0 <= call.times_ns.0 && call.times_ns.1 <= request.times_ns.1);
    assert!(collector.headers().iter().all(|headers| headers["api-key"] == "a secret"));

    let lines = env.origin_log().lines();
    let lines: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let requests = lines.iter().filter(|line| line["route"] == path);
    assert_eq!(requests.map(|line| line["trace_id"].as_str()).collect::<Vec<_>>(), [None, Some(TRACE_ID)]);
}
