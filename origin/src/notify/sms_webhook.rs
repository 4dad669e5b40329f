//! The adapter for a gateway for SMS: a signed `POST` (the scheme of Standard Webhooks), or a request as the gateway wants it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use reqwest::{
    Client, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde_json::json;
use sha2::Sha256;
use shared::address::Address;

use super::{Message, Messenger, SendError};
use crate::{
    clock::Clock,
    config::notify::{
        SmsWebhookConfig,
        sms::WebhookKey,
        template::{Template, Values},
    },
    http_client::{self, Timeouts},
};

const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(5), total: Duration::from_secs(15) };
/// Bytes of an answer that are read, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Posts messages to a gateway.
pub struct SmsWebhook {
    client: Client,
    config: SmsWebhookConfig,
    clock: Arc<dyn Clock>,
}

impl SmsWebhook {
    /// Makes a client of this gateway; it is not called yet.
    ///
    /// # Errors
    /// Fails when TLS cannot be set up.
    pub fn new(config: &SmsWebhookConfig, clock: Arc<dyn Clock>) -> reqwest::Result<Self> {
        Ok(Self { client: http_client::client(TIMEOUTS)?, config: config.clone(), clock })
    }
}

#[async_trait]
impl Messenger for SmsWebhook {
    async fn send(&self, message: Message) -> Result<(), SendError> {
        let Address::Phone(to) = &message.to else {
            return Err(SendError::Refused("the recipient is no phone number".to_owned()));
        };
        let id = message.id.to_string();
        let body = body(self.config.template.as_ref(), &id, to, &message);
        let timestamp = self.clock.now().as_secs();
        let mut request = self
            .client
            .post(self.config.url.expose())
            .header(CONTENT_TYPE, self.config.format.content_type())
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp);
        if !self.config.keys.is_empty() {
            let signed = format!("{id}.{timestamp}.{body}");
            request = request.header("webhook-signature", signatures(&self.config.keys, &signed)?);
        }
        if let Some(authorization) = &self.config.authorization {
            request = request.header(AUTHORIZATION, sensitive(authorization.expose())?);
        }
        let answer = request.body(body).send().await;
        let answer = answer.map_err(|error| SendError::Unavailable(http_client::reason(error)))?;
        let status = answer.status();
        http_client::discard(answer, MAX_ANSWER_BYTES).await;
        outcome(status)
    }
}

fn body(template: Option<&Template>, id: &str, to: &str, message: &Message) -> String {
    let Message { text, purpose, .. } = message;
    match template {
        Some(template) => template.render(Values { id, to, text }),
        None => json!({ "id": id, "to": to, "text": text, "purpose": purpose.as_str() }).to_string(),
    }
}

/// Signs with each key: `v1,` and a MAC in base64, with spaces between.
fn signatures(keys: &[WebhookKey], signed: &str) -> Result<String, SendError> {
    let sign = |key: &WebhookKey| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?;
        mac.update(signed.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    let signatures: Option<Vec<_>> = keys.iter().map(sign).collect();
    let signatures =
        signatures.ok_or_else(|| SendError::Refused("SMS_WEBHOOK_SECRET is no key".to_owned()))?;
    Ok(signatures.join(" "))
}

fn sensitive(text: &str) -> Result<HeaderValue, SendError> {
    let wrong = |_| SendError::Refused("SMS_WEBHOOK_AUTHORIZATION is no header".to_owned());
    let mut value = HeaderValue::try_from(text).map_err(wrong)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns what an answer means. A redirect is not followed: nobody but the gateway gets a code.
fn outcome(status: StatusCode) -> Result<(), SendError> {
    let reason = || format!("it answered {}", status.as_u16());
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(SendError::Unavailable(reason()))
        }
        status if status.is_client_error() => Err(SendError::Refused(reason())),
        _ => Err(SendError::Unavailable(reason())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, notify::SmsConfig};

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn signature_is_that_of_the_specification() {
        let vars = [
            ("JWT_SECRET", "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c"),
            ("SMS_WEBHOOK_URL", "http://gateway"),
            ("SMS_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ];
        let config = Config::read(&vars.into_iter().collect()).unwrap();
        let SmsConfig::Webhook(config) = config.notify.sms else { panic!("{:?}", config.notify) };
        let signed = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signatures(&config.keys, signed).as_deref(), Ok(signature));
    }
}
