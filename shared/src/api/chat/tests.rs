//! Requests that are taken, and what is said of those that are not.

use rstest::rstest;

use super::*;
use crate::{
    api::{ErrorCode, FieldError, body::parse},
    id::Id,
    time::Timestamp,
};

#[rstest]
#[case(r#"{"content":"hi"}"#)]
#[case(r#"{"content":"hi","parts":null,"tools":[],"response_format":null}"#)]
#[case(r#"{"parts":[{"type":"text","text":"hi"}],"model":"fast","later":1}"#)]
#[case(r#"{"content":[{"type":"text","text":"hi"}],"max_output_tokens":100.0}"#)]
#[case(r#"{"parts":[{"type":"image","mime_type":"image/png","data":"AAAA"}]}"#)]
#[case(r#"{"content":"hi","response_format":{"type":"json_schema","schema":{"type":"object"}}}"#)]
fn valid_message_is_accepted(#[case] body: &str) {
    let message: SendMessage = parse(body.as_bytes()).unwrap();
    assert_eq!(message.to_parts().len(), 1);
}

#[rstest]
#[case(r"{}", "content", "is required, or parts instead")]
#[case(r#"["hi"]"#, "body", "must be an object")]
#[case(r#"{"content":"hi","parts":[{"type":"text","text":"hi"}]}"#, "content", "must not stand beside parts")]
#[case(r#"{"content":"   "}"#, "content", "must not be empty")]
#[case(r#"{"content":7}"#, "content", "must be a string")]
#[case(r#"{"content":{"type":"text","text":"hi"}}"#, "content", "must be a string")]
#[case(r#"{"content":[]}"#, "content", "must have 1 to 16 parts")]
#[case(r#"{"content":[["text","hi"]]}"#, "content[0]", "must be an object")]
#[case(r#"{"content":[{"type":"sound"}]}"#, "content[0].type", "must be one of text, image")]
#[case(r#"{"content":[{"type":"text"}]}"#, "content[0].text", "is required")]
#[case(r#"{"parts":[{"type":"text","text":" "},{"type":"text","text":""}]}"#, "parts", "must not be empty")]
#[case(r#"{"parts":"hi"}"#, "parts", "must be a list")]
#[case(r#"{"parts":[]}"#, "parts", "must have 1 to 16 parts")]
#[case(r#"{"parts":[{"text":"hi"}]}"#, "parts[0].type", "is required")]
#[case(r#"{"parts":[{"type":"text","text":7}]}"#, "parts[0].text", "must be a string")]
#[case(r#"{"parts":[{"type":"text","text":"hi"},{"type":"text"}]}"#, "parts[1].text", "is required")]
#[case(r#"{"parts":[{"type":"image","mime_type":"image/png"}]}"#, "parts[0].data", "is required")]
#[case(r#"{"parts":[{"type":"image","data":"AAAA","file_id":"f"}]}"#, "parts[0].mime_type", "is required")]
#[case(
    r#"{"parts":[{"type":"image","mime_type":"image/png","data":"A!=="}]}"#,
    "parts[0].data",
    "must be base64"
)]
#[case(
    r#"{"content":[{"type":"image","mime_type":"text/html","data":"AAAA"}]}"#,
    "content[0].mime_type",
    "must be one of image/png, image/jpeg, image/webp, image/heic, image/heif"
)]
#[case(r#"{"content":"hi","model":"none"}"#, "model", "is not a model of this server; ai/models lists them")]
#[case(r#"{"content":"hi","temperature":2.5}"#, "temperature", "must be at most 2")]
#[case(r#"{"content":"hi","temperature":"hot"}"#, "temperature", "must be a number")]
#[case(r#"{"content":"hi","max_output_tokens":0}"#, "max_output_tokens", "must be at least 1")]
#[case(r#"{"content":"hi","max_output_tokens":1.5}"#, "max_output_tokens", "must be an integer")]
#[case(r#"{"content":"hi","client_message_id":""}"#, "client_message_id", "must have at least 1 characters")]
#[case(r#"{"content":"hi","tools":[{}]}"#, "tools", "this server offers no tools")]
#[case(r#"{"content":"hi","when_running":"wait"}"#, "when_running", "must be one of reject, queue")]
#[case(r#"{"content":"hi","response_format":["json"]}"#, "response_format", "must be an object")]
#[case(r#"{"content":"hi","response_format":{}}"#, "response_format.type", "is required")]
#[case(
    r#"{"content":"hi","response_format":{"type":"xml"}}"#,
    "response_format.type",
    "must be one of text, json, json_schema"
)]
#[case(
    r#"{"content":"hi","response_format":{"type":"json_schema"}}"#,
    "response_format.schema",
    "is required"
)]
#[case(
    r#"{"content":"hi","response_format":{"type":"json_schema","schema":[]}}"#,
    "response_format.schema",
    "must be an object"
)]
fn invalid_message_is_refused(#[case] body: &str, #[case] field: &str, #[case] message: &str) {
    let error = parse::<SendMessage>(body.as_bytes()).unwrap_err();
    assert_eq!(error.code, ErrorCode::ValidationFailed);
    let expected = FieldError { field: field.to_owned(), message: message.to_owned() };
    assert_eq!(error.errors.first(), Some(&expected));
}

#[test]
fn update_distinguishes_null_from_absent() {
    let update: UpdateConversation = parse(br#"{"title":null,"pinned":true}"#).unwrap();
    assert_eq!(update.title, Some(None));
    assert_eq!(update.system, None);
    assert_eq!(serde_json::to_string(&update).unwrap(), r#"{"title":null,"pinned":true}"#);
}

#[test]
fn update_in_a_list_is_refused() {
    let error = parse::<UpdateConversation>(br#"["new", null]"#).unwrap_err();
    assert_eq!(error.detail, "body: must be an object");
}

#[rstest]
#[case::length(TurnStatus::Incomplete, Some(FinishReason::Length), "Once", true)]
#[case::broken_connection(TurnStatus::Incomplete, None, "Once", true)]
#[case::reason_of_its_own(TurnStatus::Incomplete, Some(FinishReason::Other), "Once", true)]
#[case::cancelled(TurnStatus::Cancelled, None, "Once", true)]
#[case::interrupted(TurnStatus::Interrupted, None, "Once", true)]
#[case::blocked(TurnStatus::Incomplete, Some(FinishReason::ContentFilter), "Once", false)]
#[case::recited(TurnStatus::Incomplete, Some(FinishReason::Recitation), "Once", false)]
#[case::malformed_call(TurnStatus::Incomplete, Some(FinishReason::InvalidToolCall), "Once", false)]
#[case::without_text(TurnStatus::Incomplete, Some(FinishReason::Length), "", false)]
#[case::failed(TurnStatus::Failed, None, "", false)]
#[case::complete(TurnStatus::Completed, Some(FinishReason::Stop), "Once", false)]
#[case::running(TurnStatus::Running, None, "Once", false)]
fn answer_that_broke_off_can_be_continued(
    #[case] status: TurnStatus,
    #[case] finish_reason: Option<FinishReason>,
    #[case] content: &str,
    #[case] can_continue: bool,
) {
    let id = Id::new(Timestamp::default(), [0; 10]);
    let answer = Message {
        id,
        conversation_id: id,
        turn_id: id,
        parent_id: None,
        siblings: vec![id],
        seq: 2,
        role: Role::Assistant,
        content: content.to_owned(),
        parts: vec![],
        status,
        finish_reason,
        model: None,
        usage: None,
        tool_calls: vec![],
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    };
    assert_eq!(answer.can_continue(), can_continue);
    assert!(!Message { role: Role::User, ..answer }.can_continue());
}

#[test]
fn request_for_an_answer_has_the_rules_of_a_message() {
    let request: AnswerRequest = parse(br#"{"temperature":1,"when_running":"queue","content":7}"#).unwrap();
    let message = SendMessage::from(request);
    assert_eq!((message.temperature, message.when_running), (Some(1.0), Some(WhenRunning::Queue)));
    assert!(message.to_parts().is_empty());
    for (body, field) in
        [(r#"{"model":"none"}"#, "model"), (r#"{"max_output_tokens":0}"#, "max_output_tokens")]
    {
        assert_eq!(parse::<AnswerRequest>(body.as_bytes()).unwrap_err().errors[0].field, field);
    }
}

#[test]
fn message_reads_back_from_storage() {
    let bodies = [
        r#"{"content":"hi","model":"fast","temperature":0.5,"when_running":"queue"}"#,
        r#"{"parts":[{"type":"image","mime_type":"image/png","data":"AAAA"}],"response_format":{"type":"json"}}"#,
        r#"{"content":[{"type":"text","text":"hi"}],"client_message_id":"key"}"#,
    ];
    for body in bodies {
        let message: SendMessage = parse(body.as_bytes()).unwrap();
        let stored = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<SendMessage>(&stored).unwrap(), message);
    }
}
