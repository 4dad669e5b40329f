//! The path of a call, and its body.

use rstest::rstest;
use serde_json::json;

use super::super::*;
use crate::provider::{ChatMessage, ContentPart, ModelRequest, ResponseFormat, Role};

#[test]
fn path_has_model_and_nothing_else() {
    assert_eq!(
        path("gemini-3.6-flash", true).unwrap(),
        "/v1beta/models/gemini-3.6-flash:streamGenerateContent?alt=sse"
    );
    assert_eq!(path("a_b", false).unwrap(), "/v1beta/models/a_b:generateContent");
    for wrong in ["", "a/b", "a?b", "a%2fb", "a b", "a:b", "é", &"a".repeat(129)] {
        assert_eq!(path(wrong, true), None, "{wrong}");
    }
}

#[rstest]
#[case("/v1beta/models/m-1:streamGenerateContent", Some(("m-1", true)))]
#[case("/v1beta/models/m-1:generateContent", Some(("m-1", false)))]
#[case("/v1beta/models/m-1:countTokens", None)]
#[case("/v1beta/models/m-1", None)]
#[case("/v1beta/models/a/b:generateContent", None)]
#[case("/v1/models/m-1:generateContent", None)]
fn path_is_parsed(#[case] path: &str, #[case] expected: Option<(&str, bool)>) {
    assert_eq!(parse_path(path), expected);
}

#[test]
fn request_is_written_in_shape_of_gemini() {
    let asked = ModelRequest {
        system: Some("Be brief.".to_owned()),
        messages: vec![
            ChatMessage::text(Role::User, "Hi"),
            ChatMessage::text(Role::Model, "Hello"),
            ChatMessage::text(Role::Model, ""),
            ChatMessage::text(Role::User, "What is this?"),
            ChatMessage {
                role: Role::User,
                parts: vec![ContentPart::InlineImage {
                    mime_type: "image/png".to_owned(),
                    data_base64: "iVBO".to_owned(),
                }],
            },
        ],
        temperature: Some(0.25),
        max_output_tokens: Some(100),
        response_format: Some(ResponseFormat::JsonSchema { schema: json!({"type": "object"}) }),
    };
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&request(&asked)).unwrap(),
        json!({
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}]},
                {"role": "model", "parts": [{"text": "Hello"}]},
                {"role": "user", "parts": [
                    {"text": "What is this?"}, {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}
                ]},
            ],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {
                "temperature": 0.25, "maxOutputTokens": 100,
                "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
            },
        })
    );
    let plain = ModelRequest {
        messages: vec![ChatMessage::text(Role::User, "Hi")],
        temperature: Some(f64::NAN),
        ..ModelRequest::default()
    };
    assert_eq!(request(&plain), br#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}"#);
}

#[test]
fn request_is_read_in_both_casings() {
    let read = parse_request(
        br#"{"contents":[{"parts":[{"text":"a"},{"inline_data":{"mime_type":"image/png","data":"iVBO"}}]},
                         {"role":"user","parts":[{"text":"b"}]},
                         {"role":"model","parts":[{"text":"secret","thought":true},{"text":"c"}]}],
             "system_instruction":{"role":"system","parts":[{"text":"x"},{"text":"y"}]},
             "generation_config":{"max_output_tokens":5,"response_mime_type":"application/json","topP":0.5},
             "safetySettings":[],"tools":[]}"#,
    )
    .unwrap();
    let image =
        ContentPart::InlineImage { mime_type: "image/png".to_owned(), data_base64: "iVBO".to_owned() };
    let words = |text: &str| ContentPart::Text(text.to_owned());
    assert_eq!(
        read,
        ModelRequest {
            system: Some("x\ny".to_owned()),
            messages: vec![
                ChatMessage { role: Role::User, parts: vec![words("a"), image, words("b")] },
                ChatMessage::text(Role::Model, "c"),
            ],
            temperature: None,
            max_output_tokens: Some(5),
            response_format: Some(ResponseFormat::Json),
        }
    );
}

#[rstest]
#[case(r#"{"contents":[]}"#, RequestError::Empty)]
#[case(r#"{"contents":[{"parts":[{"text":""}]}]}"#, RequestError::Empty)]
#[case(r#"{"contents":[{"role":"assistant","parts":[{"text":"a"}]}]}"#, RequestError::Role)]
#[case(r#"{"contents":[{"parts":[{"text":"a"},{"fileData":{}}]}]}"#, RequestError::Part { content: 0, part: 1 })]
#[case(
    r#"{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseSchema":{}}}"#,
    RequestError::Config("responseSchema")
)]
#[case(
    r#"{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseMimeType":"text/x.enum"}}"#,
    RequestError::Config("responseMimeType of this kind")
)]
fn unservable_request_is_refused(#[case] body: &str, #[case] error: RequestError) {
    assert_eq!(parse_request(body.as_bytes()), Err(error));
}

#[test]
fn request_without_json_is_refused() {
    for body in [&b""[..], b"<html>", b"{\"contents\":7}", b"\xFF"] {
        assert!(matches!(parse_request(body), Err(RequestError::Json(_))));
    }
}
