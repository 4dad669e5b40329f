//! The adapter with a gateway whose answers the tests choose.

use std::sync::Mutex;

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode as Status, header::LOCATION},
    response::IntoResponse as _,
    routing::any,
};
use rstest::rstest;
use serde_json::Value;
use shared::{id::Id, time::Timestamp};
use tokio::net::TcpListener;

use super::*;
use crate::{
    clock::TestClock,
    config::{Config, notify::SmsConfig},
    notify::Purpose,
};

const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);
const TO: &str = "+491701234567";
const TEXT: &str = "123456 is your \"code\" & more";
/// `whsec_` and the base64 of 24 bytes, and a text.
const SECRETS: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c";

/// A gateway that answers everything with one status, and keeps what it got.
#[derive(Clone, Default)]
struct Gateway(Arc<Mutex<Vec<(HeaderMap, String)>>>);

impl Gateway {
    async fn start(&self, status: u16) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/send?key=hunter2", listener.local_addr().unwrap());
        let gateway = self.clone();
        let handler = async move |headers: HeaderMap, body: Bytes| {
            gateway.0.lock().unwrap().push((headers, String::from_utf8(body.to_vec()).unwrap()));
            (Status::from_u16(status).unwrap(), [(LOCATION, "/elsewhere")], "x".repeat(MAX_ANSWER_BYTES * 2))
                .into_response()
        };
        let router = Router::new().fallback(any(handler));
        tokio::spawn(async { crate::server::serve(listener, router, std::future::pending()).await });
        url
    }

    fn requests(&self) -> Vec<(HeaderMap, String)> {
        self.0.lock().unwrap().clone()
    }
}

fn webhook(url: &str, vars: &[(&str, &str)]) -> SmsWebhook {
    let base = [("JWT_SECRET", "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c"), ("SMS_WEBHOOK_URL", url)];
    let config = Config::read(&base.iter().chain(vars).copied().collect()).unwrap();
    let SmsConfig::Webhook(config) = config.notify.sms else { panic!("{:?}", config.notify) };
    SmsWebhook::new(&config, Arc::new(TestClock::at(START))).unwrap()
}

fn message() -> Message {
    Message {
        id: Id::from_bytes([7; 16]),
        to: Address::Phone(TO.to_owned()),
        purpose: Purpose::Login,
        subject: String::new(),
        text: TEXT.to_owned(),
        code: Some("123456".to_owned()),
        link: None,
        token: None,
    }
}

#[tokio::test]
async fn message_is_posted_as_json_and_signed_with_each_key() {
    let gateway = Gateway::default();
    let webhook = webhook(&gateway.start(202).await, &[("SMS_WEBHOOK_SECRET", SECRETS)]);
    webhook.send(message()).await.unwrap();
    let [(headers, body)] = gateway.requests().try_into().unwrap();
    let id = "07070707-0707-0707-0707-070707070707";
    let expected = json!({ "id": id, "to": TO, "text": TEXT, "purpose": "login" });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!((header("webhook-id"), header("webhook-timestamp")), (id, "1795253400"));
    assert!(!headers.contains_key("authorization"));

    let keys = [
        &STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()[..],
        b"0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c",
    ];
    let signatures: Vec<_> = header("webhook-signature").split(' ').collect();
    assert_eq!(signatures.len(), keys.len());
    for (signature, key) in signatures.iter().zip(keys) {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(format!("{id}.1795253400.{body}").as_bytes());
        let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        mac.verify_slice(&tag).unwrap();
    }
}

/// The example of the specification of Standard Webhooks.
#[test]
fn signature_is_that_of_the_specification() {
    let vars = [("SMS_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
    let keys = webhook("http://gateway", &vars).config.keys;
    let signed = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
    assert_eq!(signatures(&keys, signed).unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[tokio::test]
async fn body_and_authorization_are_as_configured() {
    let gateway = Gateway::default();
    let vars = [
        ("SMS_WEBHOOK_AUTHORIZATION", "Bearer hunter2"),
        ("SMS_WEBHOOK_CONTENT_TYPE", "application/x-www-form-urlencoded"),
        ("SMS_WEBHOOK_TEMPLATE", "To={to}&Body={text}&From=EdgeChat"),
    ];
    webhook(&gateway.start(200).await, &vars).send(message()).await.unwrap();
    let [(headers, body)] = gateway.requests().try_into().unwrap();
    assert_eq!(headers["authorization"], "Bearer hunter2");
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert!(!headers.contains_key("webhook-signature"));
    assert_eq!(body, "To=%2B491701234567&Body=123456+is+your+%22code%22+%26+more&From=EdgeChat");
}

#[rstest]
#[case(400, true)]
#[case(401, true)]
#[case(404, true)]
#[case(422, true)]
#[case(408, false)]
#[case(425, false)]
#[case(429, false)]
#[case(500, false)]
#[case(503, false)]
#[case(302, false)]
#[tokio::test]
async fn answer_is_permanent_or_transient_and_never_followed(
    #[case] status: u16,
    #[case] is_permanent: bool,
) {
    let gateway = Gateway::default();
    let error = webhook(&gateway.start(status).await, &[]).send(message()).await.unwrap_err();
    assert_eq!(error.is_permanent(), is_permanent);
    assert_eq!((error.to_string(), gateway.requests().len()), (format!("it answered {status}"), 1));
}

#[tokio::test]
async fn gateway_that_is_not_there_is_unavailable_and_its_address_not_told() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let webhook = webhook(&format!("http://127.0.0.1:{port}/send?key=hunter2"), &[]);
    let error = webhook.send(message()).await.unwrap_err();
    assert!(matches!(error, SendError::Unavailable(_)) && !error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn mail_is_refused() {
    let to = Address::Email("ada@example.com".to_owned());
    let sent = webhook("http://gateway", &[]).send(Message { to, ..message() }).await;
    assert!(sent.is_err_and(|error| error.is_permanent()));
}
