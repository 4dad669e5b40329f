//! SMS from the job to a gateway, whose answers the tests choose.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::IntoResponse as _,
    routing::any,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use rstest::rstest;
use serde_json::{Value, json};
use sha2::Sha256;
use shared::{address::Address, api::account::codes::CodePurpose, id::Id};
use tokio::net::TcpListener;

use super::test_env::{START, TestEnv};
use crate::{
    clock::{Clock as _, TestClock},
    config::{Config, notify::SmsConfig},
    jobs::notify::one_time_code,
    notify::{Message, Messenger as _, Purpose, SendError, sms_webhook::SmsWebhook},
    random::{Random as _, SystemRandom},
    server,
};

const SECRET: &str = "6b1c0f9a3b7c5d1e8f2a4b6c0d9e7f3a";
const TO: &str = "+491701234567";
const TEXT: &str = "123456 is your \"code\" & more";

/// A gateway that answers with one status after the other, the last one from then on, and keeps what it got.
#[derive(Clone)]
struct Gateway {
    statuses: Arc<[u16]>,
    requests: Arc<Mutex<Vec<Request>>>,
}

#[derive(Clone)]
struct Request {
    headers: HeaderMap,
    body: String,
}

impl Gateway {
    /// Starts a gateway, and returns its address, which holds a key.
    async fn start(statuses: &[u16]) -> (Self, String) {
        let gateway = Self { statuses: statuses.into(), requests: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/send?key=hunter2", listener.local_addr().unwrap());
        let serving = gateway.clone();
        let handler = async move |headers: HeaderMap, body: Bytes| {
            let mut requests = serving.requests.lock().unwrap();
            requests.push(Request { headers, body: String::from_utf8(body.to_vec()).unwrap() });
            let status = serving.statuses[(requests.len() - 1).min(serving.statuses.len() - 1)];
            let long_answer = "x".repeat(1 << 20);
            (StatusCode::from_u16(status).unwrap(), [(LOCATION, "/elsewhere")], long_answer).into_response()
        };
        let router = Router::new().fallback(any(handler));
        tokio::spawn(async { server::serve(listener, router, std::future::pending()).await });
        (gateway, url)
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns whether one of the signatures is by this key.
    fn is_signed_by(&self, key: &[u8]) -> bool {
        let signed =
            format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        self.header("webhook-signature").split(' ').any(|signature| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(signed.as_bytes());
            mac.verify_slice(&STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap()).is_ok()
        })
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
async fn code_that_the_gateway_does_not_take_is_posted_again_with_its_id() {
    let (gateway, url) = Gateway::start(&[503, 202]).await;
    let env = TestEnv::with(&[("SMS_WEBHOOK_URL", &*url), ("SMS_WEBHOOK_SECRET", SECRET)]).await;
    let (runner, start) = (env.app.job_runner(), env.clock.now());
    let code_id = SystemRandom.id(start);
    let to = Address::Phone(TO.to_owned());
    let job = one_time_code(code_id, to, CodePurpose::Login, start.plus_millis(300_000), start);
    env.app.stores.accounts.schedule_job(job).await.unwrap();
    for (advance_ms, requests) in [(0, 1), (0, 1), (5_000, 2), (60_000, 2)] {
        env.clock.advance(advance_ms);
        runner.run_due().await;
        assert_eq!(gateway.requests().len(), requests);
    }
    let code = env.app.one_time_secrets.code(code_id);
    let text =
        format!("{code} is your EdgeChat code to sign in. It expires in 5 minutes. Tell it to nobody.");
    let body = json!({ "id": code_id, "to": TO, "purpose": "login", "text": text });
    for (request, at) in gateway.requests().iter().zip([start, start.plus_millis(5_000)]) {
        assert!(request.is_signed_by(SECRET.as_bytes()));
        assert_eq!(request.header("webhook-id"), code_id.to_string());
        assert_eq!(request.header("webhook-timestamp"), at.as_secs().to_string());
        assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), body);
    }
}

#[tokio::test]
async fn message_is_posted_as_json_and_signed_with_each_key() {
    let (gateway, url) = Gateway::start(&[202]).await;
    let secrets = format!("whsec_{},{SECRET}", STANDARD.encode([9; 24]));
    webhook(&url, &[("SMS_WEBHOOK_SECRET", &secrets)]).send(message()).await.unwrap();
    let [request] = gateway.requests().try_into().ok().unwrap();
    assert!(request.is_signed_by(&[9; 24]) && request.is_signed_by(SECRET.as_bytes()));
    let id = "07070707-0707-0707-0707-070707070707";
    let body = json!({ "id": id, "to": TO, "text": TEXT, "purpose": "login" });
    assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), body);
    assert_eq!((request.header("content-type"), request.header("authorization")), ("application/json", ""));
    assert_eq!(request.header("webhook-id"), id);
}

#[tokio::test]
async fn body_and_authorization_are_as_configured() {
    let (gateway, url) = Gateway::start(&[200]).await;
    let vars = [
        ("SMS_WEBHOOK_AUTHORIZATION", "Bearer hunter2"),
        ("SMS_WEBHOOK_CONTENT_TYPE", "application/x-www-form-urlencoded"),
        ("SMS_WEBHOOK_TEMPLATE", "To={to}&Body={text}&From=EdgeChat"),
    ];
    webhook(&url, &vars).send(message()).await.unwrap();
    let [request] = gateway.requests().try_into().ok().unwrap();
    assert_eq!(request.header("authorization"), "Bearer hunter2");
    assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(request.header("webhook-signature"), "");
    assert_eq!(request.body, "To=%2B491701234567&Body=123456+is+your+%22code%22+%26+more&From=EdgeChat");
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
    let (gateway, url) = Gateway::start(&[status]).await;
    let error = webhook(&url, &[]).send(message()).await.unwrap_err();
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
async fn mail_is_refused_by_the_adapter_for_sms() {
    let to = Address::Email("ada@example.com".to_owned());
    let sent = webhook("http://gateway", &[]).send(Message { to, ..message() }).await;
    assert!(sent.is_err_and(|error| error.is_permanent()));
}
