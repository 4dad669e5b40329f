//! Tests of the scripted provider against EdgeChat's Gemini decoder.

use edgechat_tests::{
    client::{Client, Reply},
    provider::{Call, Script, ScriptedGemini, Step, call::USAGE},
    wait::bounded,
};
use hyper::StatusCode;
use serde_json::json;
use shared::provider::{
    ChatMessage, FinishReason, ModelEvent, ModelRequest, ProviderFailure, Role, StreamEnd, gemini,
};

const MODEL: &str = "gemini-test";

/// Calls the provider as the Worker does.
async fn ask(provider: &ScriptedGemini, prompt: &str, stream: bool) -> Result<Reply, reqwest::Error> {
    let request =
        ModelRequest { messages: vec![ChatMessage::text(Role::User, prompt)], ..ModelRequest::default() };
    let path = gemini::path(MODEL, stream).unwrap();
    let ask = Client::new(provider.base()).post(&path).header(gemini::API_KEY_HEADER, "key");
    ask.json_bytes(gemini::request(&request)).try_send().await
}

fn read(reply: &Reply, stream: bool) -> Result<(Vec<ModelEvent>, StreamEnd), ProviderFailure> {
    if !stream {
        return gemini::decode_response(&reply.body, gemini::MAX_EVENT_BYTES);
    }
    let (mut decoder, mut events) = (gemini::StreamDecoder::default(), Vec::new());
    decoder.push(&reply.body, &mut events)?;
    let end = decoder.finish(&mut events)?;
    Ok((events, end))
}

fn text(events: &[ModelEvent]) -> String {
    let pieces = events.iter().filter_map(|event| match event {
        ModelEvent::TextDelta(text) => Some(text.as_str()),
        _ => None,
    });
    pieces.collect()
}

#[tokio::test]
async fn script_is_sent_streamed_and_whole() {
    let provider = ScriptedGemini::start().await;
    for stream in [true, false] {
        provider.will(Script::pieces(["Grüße, ", "👋", "!"]));
        let reply = ask(&provider, "hi", stream).await.unwrap().expect_status(200);
        let (events, end) = read(&reply, stream).unwrap();
        assert_eq!(text(&events), "Grüße, 👋!");
        assert_eq!(end, StreamEnd::Completed(FinishReason::Stop));
        assert!(events.contains(&ModelEvent::Usage(USAGE)));
    }
    let received = provider.received();
    assert_eq!(received.len(), 2);
    assert!(received[0].stream && !received[1].stream);
    assert_eq!((received[0].prompt().as_str(), received[0].model.as_str()), ("hi", MODEL));
}

#[tokio::test]
async fn held_call_is_answered_in_pieces_and_reports_disconnect() {
    let provider = ScriptedGemini::start().await;
    let upcoming = provider.hand_over();
    let asking = tokio::spawn({
        let path = gemini::path(MODEL, true).unwrap();
        let ask = Client::new(provider.base()).post(&path).header(gemini::API_KEY_HEADER, "key");
        ask.json(&json!({ "contents": [{ "parts": [{ "text": "hi" }] }] })).send()
    });
    let mut call: Call = upcoming.arrives().await;
    call.send_text("one ").await.unwrap();
    asking.abort();
    bounded("the caller to go", call.gone()).await;
}

#[tokio::test]
async fn broken_answers_fail_to_read() {
    let provider = ScriptedGemini::start().await;
    let half = || vec![Step::Text("half ".to_owned()), Step::Text("of it".to_owned())];

    provider.will(Script::Steps(half()));
    let reply = ask(&provider, "hi", true).await.unwrap();
    assert_eq!(read(&reply, true).unwrap().1, StreamEnd::Incomplete);

    for stream in [true, false] {
        provider.will(Script::Steps([half(), vec![Step::Cut]].concat()));
        assert!(ask(&provider, "hi", stream).await.is_err());
        provider.will(Script::NoReply);
        assert!(ask(&provider, "hi", stream).await.is_err());
    }

    provider.will(Script::Steps([half(), vec![Step::Error(StatusCode::SERVICE_UNAVAILABLE)]].concat()));
    let reply = ask(&provider, "hi", true).await.unwrap();
    assert_eq!(read(&reply, true), Err(ProviderFailure::Unavailable { retry_after_s: None }));

    provider.will(Script::busy("30"));
    let reply = ask(&provider, "hi", true).await.unwrap().expect_status(429);
    assert_eq!(reply.header("retry-after"), Some("30"));
    let failure = gemini::classify(429, Some(30), &reply.body);
    assert_eq!(failure, ProviderFailure::RateLimited { retry_after_s: Some(30) });

    provider.will(Script::html(StatusCode::OK));
    let reply = ask(&provider, "hi", true).await.unwrap().expect_status(200);
    assert_eq!(read(&reply, true), Err(ProviderFailure::Malformed));

    provider.will(Script::empty());
    let reply = ask(&provider, "hi", true).await.unwrap().expect_status(200);
    assert_eq!(read(&reply, true), Ok((vec![], StreamEnd::Incomplete)));
}

#[tokio::test]
async fn invalid_request_is_refused_like_gemini() {
    let provider = ScriptedGemini::start().await;
    let client = Client::new(provider.base());
    let call = || client.post("/v1beta/models/m:generateContent");
    let _ = call().json(&json!({})).send().await.expect_status(403);
    let _ = call().header(gemini::API_KEY_HEADER, "key").json(&json!({})).send().await.expect_status(400);
    let _ = client.get("/v1beta/models").send().await.expect_status(404);
    assert_eq!(provider.calls(), 0);
}
