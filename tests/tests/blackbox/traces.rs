//! A request is one tree of spans, whatever parts it goes through, and nobody waits for a collector.

use std::collections::BTreeSet;

use edgechat_tests::{
    client::{PASSWORD, content},
    collector::{Collector, Span},
    provider::call::USAGE,
    test_env::{Setup, TestEnv},
};
use serde_json::{Value, json};
use shared::api::chat::{SentMessage, TurnStatus};
use tokio::net::TcpListener;

/// OTLP's numbers of the sides of a call.
const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

const MESSAGES: &str = "POST /api/v1/chat/conversations/{id}/messages";
const DELIVERY: &str = "POST /internal/v1/turns";

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
    only(spans, name, |_| true)
}

/// The only span of this name at this side of a call.
fn one_of<'a>(spans: &'a [Span], kind: u64, name: &str) -> &'a Span {
    only(spans, name, |span| span.kind == kind)
}

fn only<'a>(spans: &'a [Span], name: &str, is_meant: impl Fn(&Span) -> bool) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name && is_meant(span)).collect();
    let [span] = found.as_slice() else { panic!("{} spans {name} in {spans:#?}", found.len()) };
    span
}

/// Waits until the spans of a trace have these names, and returns all of them.
async fn trace(collector: &Collector, trace_id: &str, names: &[&str]) -> Vec<Span> {
    let of_trace = |spans: &[Span]| -> Vec<Span> {
        spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect()
    };
    let is_whole = |spans: &[Span]| {
        let spans = of_trace(spans);
        names.iter().all(|name| spans.iter().any(|span| span.name == *name))
    };
    of_trace(&collector.wait(&format!("{names:?}"), is_whole).await)
}

/// The first span of a tree: the only one below `caller`, and above all others.
fn root<'a>(spans: &'a [Span], caller: &str) -> &'a Span {
    let ids: Vec<_> = spans.iter().map(|span| span.span_id.as_str()).collect();
    let (below, above): (Vec<_>, Vec<_>) = spans.iter().partition(|span| ids.contains(&span.parent.as_str()));
    let [root] = above.as_slice() else { panic!("not one tree: {above:#?}") };
    assert_eq!((root.parent.as_str(), below.len()), (caller, spans.len() - 1));
    root
}

/// The spans of a message: the last to arrive are the front's span and those of the turn.
const WHOLE: [&str; 5] = [MESSAGES, "turn", DELIVERY, "record_turn chats", "record_usage accounts"];

/// Checks that a turn, its calls and what they did at the origin stand where they belong below the front's span.
fn check_turn(spans: &[Span], front: &Span, status: &str) {
    assert_eq!((front.service.as_str(), front.kind), ("edgechat-front", SERVER));
    let turn = one(spans, "turn");
    assert_eq!((turn.service.as_str(), turn.kind, &turn.parent), ("edgechat-user", INTERNAL, &front.span_id));
    assert_eq!(turn.attribute("edgechat.turn.status"), status);
    let delivery = one_of(spans, CLIENT, DELIVERY);
    assert_eq!((delivery.service.as_str(), &delivery.parent), ("edgechat-user", &turn.span_id));
    let received = one_of(spans, SERVER, DELIVERY);
    assert_eq!((received.service.as_str(), &received.parent), ("edgechat-origin", &delivery.span_id));
    for call in ["record_turn chats", "record_usage accounts"] {
        let call = one(spans, call);
        assert_eq!((call.service.as_str(), &call.parent), ("edgechat-origin", &received.span_id));
    }
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
    let is_request = |span: &Span| span.kind == SERVER;
    let spans = collector.wait("the span of a request", |spans| spans.iter().any(is_request)).await;
    let request = one(&spans, "POST /api/v1/auth/register");
    let is_of_request = |span: &&Span| span.parent == request.span_id && span.trace_id == request.trace_id;
    // A limit is a call of a store, too, where a server counts.
    assert_eq!(spans.iter().filter(is_of_request).count(), spans.len() - 1, "{spans:#?}");
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

#[tokio::test]
async fn message_with_a_clients_trace_is_one_tree_below_the_client() {
    let collector = Collector::start().await;
    let env = traced(&collector).start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let message = phone.message(conversation, &content("Hello")).header("traceparent", &traceparent(true));
    let events = message.stream().await.rest().await;
    phone.persisted(events[0].turn_id()).await;

    let spans = trace(&collector, TRACE_ID, &WHOLE).await;
    let front = root(&spans, CALLER);
    assert_eq!(front.name, MESSAGES);
    assert_eq!(front.attribute("http.response.status_code"), "200");
    check_turn(&spans, front, "completed");
    let turn = one(&spans, "turn");
    assert_eq!(turn.events, ["started", "first_words"]);
    assert_eq!(turn.attribute("gen_ai.usage.output_tokens"), USAGE.output_tokens.to_string());
    let call = spans.iter().find(|span| span.name.starts_with("chat ")).unwrap();
    assert_eq!((call.kind, &call.parent), (CLIENT, &turn.span_id));
    assert_eq!(call.events, ["response_head"]);
    let context = "GET /internal/v1/conversations/{id}/context";
    assert_eq!(one_of(&spans, CLIENT, context).parent, turn.span_id);
    assert_eq!(one_of(&spans, SERVER, context).parent, one_of(&spans, CLIENT, context).span_id);
    assert!(spans.iter().all(|span| !span.is_error), "{spans:#?}");
    // Nobody has said that the provider may know.
    let received = env.provider.received();
    assert!(received.iter().all(|call| !call.headers.contains_key("traceparent")));
}

#[tokio::test]
async fn message_without_a_clients_trace_is_one_tree_of_its_own() {
    let collector = Collector::start().await;
    let env = traced(&collector).var("OTEL_SERVICE_NAME", "chat").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "Hello").await;
    let has_message = |spans: &[Span]| spans.iter().any(|span| span.name == MESSAGES);
    let spans = collector.wait("the message's span", has_message).await;
    let spans = trace(&collector, &one(&spans, MESSAGES).trace_id, &WHOLE).await;
    assert_eq!(root(&spans, "").name, MESSAGES);
    let services: BTreeSet<_> = spans.iter().map(|span| span.service.as_str()).collect();
    assert_eq!(services.into_iter().collect::<Vec<_>>(), ["chat-front", "chat-origin", "chat-user"]);
}

#[tokio::test]
async fn trace_that_the_client_does_not_record_is_handed_on_and_leaves_no_span() {
    let collector = Collector::start().await;
    let env = traced(&collector).var("PROVIDER_TRACEPARENT", "on").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let send = |is_sampled| {
        let message = phone.message(conversation, &content("Hello"));
        message.header("traceparent", &traceparent(is_sampled)).send()
    };
    for is_sampled in [false, true] {
        let sent: SentMessage = send(is_sampled).await.expect_status(201).json();
        phone.persisted(sent.turn_id).await;
    }
    let spans = trace(&collector, TRACE_ID, &WHOLE).await;
    // All of them are of the second message.
    root(&spans, CALLER);
    let received = env.provider.received();
    let traces: Vec<_> = received.iter().map(|call| call.headers["traceparent"].to_str().unwrap()).collect();
    let [first, second] = traces.as_slice() else { panic!("{traces:?}") };
    let start = format!("00-{TRACE_ID}-");
    assert!(first.starts_with(&start) && first.ends_with("-00"), "{first}");
    let call = spans.iter().find(|span| span.name.starts_with("chat ")).unwrap();
    assert_eq!(**second, format!("{start}{}-01", call.span_id));
}

#[tokio::test]
async fn share_of_zero_records_nothing_that_no_client_asks_for() {
    let collector = Collector::start().await;
    let env = traced(&collector).var("OTEL_TRACES_SAMPLER_ARG", "0").start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "Hello").await;
    let message = phone.message(conversation, &content("Hello")).header("traceparent", &traceparent(true));
    let sent: SentMessage = message.send().await.expect_status(201).json();
    phone.persisted(sent.turn_id).await;
    trace(&collector, TRACE_ID, &WHOLE).await;
    let others: Vec<_> = collector.spans().into_iter().filter(|span| span.trace_id != TRACE_ID).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[tokio::test]
async fn delivery_after_an_outage_is_in_the_trace_of_its_turn() {
    let collector = Collector::start().await;
    let mut env = traced(&collector).start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    phone.send_and_persist(conversation, "Before").await;
    env.kill_origin().await;
    let message = phone.message(conversation, &content("Hello")).header("traceparent", &traceparent(true));
    let sent: SentMessage = message.send().await.expect_status(201).json();
    assert!(!sent.persisted);
    env.start_origin().await;
    phone.persisted(sent.turn_id).await;

    let spans = trace(&collector, TRACE_ID, &WHOLE).await;
    root(&spans, CALLER);
    let (turn, stored) = (one(&spans, "turn"), one(&spans, "record_turn chats"));
    let received = spans.iter().find(|span| span.span_id == stored.parent).unwrap();
    let delivery = spans.iter().find(|span| span.span_id == received.parent).unwrap();
    assert_eq!((&delivery.parent, delivery.is_error), (&turn.span_id, false));
    let failed: Vec<_> = spans.iter().filter(|span| span.is_error).collect();
    assert!(failed.iter().any(|span| span.name == DELIVERY && span.parent == turn.span_id), "{failed:#?}");

    // Each line of the log names its request; that of a recorded trace names it, too.
    let lines = env.edge_log().lines();
    let lines: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let logged: Vec<_> = lines.iter().filter(|line| line["level"].is_string()).collect();
    assert!(logged.iter().all(|line| line["request_id"].as_str().is_some_and(|id| !id.is_empty())));
    let failed = logged.iter().find(|line| line["message"] == "the delivery failed").unwrap();
    assert_eq!((&failed["trace_id"], &failed["turn"]), (&json!(TRACE_ID), &json!(sent.turn_id)));
}

#[tokio::test]
async fn turn_that_a_restart_cuts_off_is_one_span_all_the_same() {
    let collector = Collector::start().await;
    let mut env = traced(&collector).start().await;
    let phone = env.phone().await;
    let conversation = phone.conversation().await;
    let upcoming = env.provider.hand_over();
    let message = phone.message(conversation, &content("Hello")).header("traceparent", &traceparent(true));
    let (mut stream, mut call) = tokio::join!(message.stream(), upcoming.arrives());
    let turn = stream.expect("turn.started").await.turn_id();
    call.send_text("Once ").await.unwrap();
    stream.delta().await;
    trace(&collector, TRACE_ID, &[MESSAGES]).await;
    env.kill_workerd().await;
    env.start_workerd().await;
    let interrupted = phone.persisted(turn).await;
    assert_eq!(interrupted.status, TurnStatus::Interrupted);

    let whole = |spans: &[Span]| spans.iter().filter(|span| span.name == "turn").count() == 1;
    collector.wait("the end of the turn", whole).await;
    let spans = trace(&collector, TRACE_ID, &WHOLE).await;
    let (front, turn) = (one(&spans, MESSAGES), one(&spans, "turn"));
    assert_eq!((front.parent.as_str(), &turn.parent), (CALLER, &front.span_id));
    assert_eq!(turn.attribute("edgechat.turn.status"), "interrupted");
    let stored: Vec<_> = spans.iter().filter(|span| span.kind == CLIENT && span.name == DELIVERY).collect();
    assert!(!stored.is_empty() && stored.iter().all(|span| span.parent == turn.span_id), "{stored:#?}");
}

#[tokio::test]
async fn turns_go_on_while_the_collector_is_down_or_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoints = [&silent, &gone].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
    drop(gone);
    for endpoint in endpoints {
        let env = TestEnv::setup().var("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).start().await;
        let phone = env.phone().await;
        let conversation = phone.conversation().await;
        for text in ["One", "Two"] {
            let events = phone.stream_and_persist(conversation, text).await;
            assert_eq!(events.last().unwrap().kind, "turn.completed");
        }
        env.edge_log().wait_for("spans cannot be sent").await;
        env.origin_log().wait_for("spans cannot be sent").await;
        assert_eq!(phone.messages(conversation).await.len(), 4);
    }
}

#[tokio::test]
async fn front_without_traces_hands_the_clients_on_to_the_origin() {
    let collector = Collector::start().await;
    let mut env = TestEnv::start().await;
    env.kill_origin().await;
    env.start_origin_with("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()).await;
    let phone = env.phone().await;
    let asked = phone.client.get("/api/v1/usage/me").header("traceparent", &traceparent(true)).send().await;
    assert_eq!(asked.status, 200);
    let spans = trace(&collector, TRACE_ID, &["usage accounts", "GET /api/v1/usage/me"]).await;
    assert_eq!(root(&spans, CALLER).service, "edgechat-origin");
}
