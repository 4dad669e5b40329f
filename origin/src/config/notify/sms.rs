//! The gateway for SMS: the variables `SMS_WEBHOOK_…`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use shared::http::base_url;
use url::Url;

use super::template::{BodyFormat, Template};
use crate::config::{
    Secret,
    reader::{Reader, UNSET, masked, quoted},
    secrets::is_placeholder,
};

const SECRET_WANTED: &str = "it should hold a random text of at least 32 characters, or whsec_ and the base64 of 24 to 64 bytes \
                             as Standard Webhooks has it, or two with a comma between";
const MIN_SECRET_CHARS: usize = 32;
/// The most secrets: an old one and its successor.
const MAX_SECRETS: usize = 2;

/// A gateway for SMS.
#[derive(Clone, Debug)]
pub struct SmsWebhookConfig {
    /// `SMS_WEBHOOK_URL`: where messages are posted. It may hold a key.
    pub url: Secret,
    /// `SMS_WEBHOOK_SECRET`, required in production unless `SMS_WEBHOOK_AUTHORIZATION` is set: the keys of the signatures,
    /// comma-separated; each of them signs.
    pub keys: Vec<WebhookKey>,
    /// `SMS_WEBHOOK_AUTHORIZATION`, default none: the header `Authorization`.
    pub authorization: Option<Secret>,
    /// `SMS_WEBHOOK_CONTENT_TYPE`, default `application/json`, or `application/x-www-form-urlencoded`: the form of the body.
    pub format: BodyFormat,
    /// `SMS_WEBHOOK_TEMPLATE`, default none: the body, with `{to}`, `{text}` and `{id}`. Without it, it is the JSON object of
    /// `id`, `to`, `text` and `purpose`.
    pub template: Option<Template>,
    /// The host, for people.
    host: String,
}

/// The key of a signature, which is never logged.
#[derive(Clone)]
pub struct WebhookKey(Vec<u8>);

impl WebhookKey {
    /// Reads a key of at least 192 bits.
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("whsec_") {
            Some(encoded) => {
                STANDARD.decode(encoded).ok().filter(|key| (24..=64).contains(&key.len())).map(Self)
            }
            None => (text.chars().count() >= MIN_SECRET_CHARS).then(|| Self(text.as_bytes().to_vec())),
        }
    }

    /// Returns the key itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey")
    }
}

/// Reads the section; `None` while `SMS_WEBHOOK_URL` is unset.
pub(super) fn read(reader: &mut Reader<'_>, is_production: bool) -> Option<SmsWebhookConfig> {
    let text = reader.text("SMS_WEBHOOK_URL")?;
    let host = host(text, is_production)
        .map_err(|wanted| reader.wrong("SMS_WEBHOOK_URL", masked(text), wanted))
        .ok();
    let authorization = authorization(reader);
    let keys = keys(reader, is_production);
    let (format, template) = body(reader);
    Some(SmsWebhookConfig { url: Secret::new(text), keys, authorization, format, template, host: host? })
}

/// Checks the address and returns its host. Errors: a sentence of what it should be.
fn host(text: &str, is_production: bool) -> Result<String, String> {
    // Unlike other addresses, this one may have a query.
    let (base, _) = text.split_once('?').unwrap_or((text, ""));
    base_url::parse(base, is_production)?;
    let url = Url::parse(text).ok().filter(|url| url.fragment().is_none());
    let host = url.as_ref().and_then(Url::host_str);
    host.map(str::to_owned)
        .ok_or_else(|| "it should be a URL such as https://sms.example.com/send".to_owned())
}

fn authorization(reader: &mut Reader<'_>) -> Option<Secret> {
    let text = reader.text("SMS_WEBHOOK_AUTHORIZATION")?;
    let is_header = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if !is_header {
        let wanted = "it should hold the value of a header, such as Bearer and a key, in ASCII";
        reader.wrong("SMS_WEBHOOK_AUTHORIZATION", masked(text), wanted);
    }
    is_header.then(|| Secret::new(text))
}

fn keys(reader: &mut Reader<'_>, is_production: bool) -> Vec<WebhookKey> {
    let Some(text) = reader.text("SMS_WEBHOOK_SECRET") else {
        if is_production && reader.text("SMS_WEBHOOK_AUTHORIZATION").is_none() {
            let wanted = format!("{SECRET_WANTED}; or SMS_WEBHOOK_AUTHORIZATION should be set");
            reader.wrong("SMS_WEBHOOK_SECRET", UNSET, wanted);
        }
        return Vec::new();
    };
    if is_production && text.split(',').any(is_placeholder) {
        reader.wrong("SMS_WEBHOOK_SECRET", "held a placeholder", SECRET_WANTED);
        return Vec::new();
    }
    let keys: Option<Vec<_>> = text.split(',').map(|text| WebhookKey::parse(text.trim())).collect();
    keys.filter(|keys| keys.len() <= MAX_SECRETS).unwrap_or_else(|| {
        reader.wrong("SMS_WEBHOOK_SECRET", masked(text), SECRET_WANTED);
        Vec::new()
    })
}

fn body(reader: &mut Reader<'_>) -> (BodyFormat, Option<Template>) {
    let format = reader.text("SMS_WEBHOOK_CONTENT_TYPE").map_or(BodyFormat::Json, |text| {
        BodyFormat::parse(text).unwrap_or_else(|| {
            let wanted = "it should hold application/json or application/x-www-form-urlencoded";
            reader.wrong("SMS_WEBHOOK_CONTENT_TYPE", quoted(text), wanted);
            BodyFormat::Json
        })
    });
    let template = match (reader.text("SMS_WEBHOOK_TEMPLATE"), format) {
        // It may hold a key of the gateway.
        (Some(text), _) => Template::parse(text, format)
            .map_err(|wanted| reader.wrong("SMS_WEBHOOK_TEMPLATE", masked(text), wanted))
            .ok(),
        (None, BodyFormat::Json) => None,
        (None, BodyFormat::Form) => {
            reader.wrong("SMS_WEBHOOK_TEMPLATE", UNSET, "it should hold a form such as To={to}&Body={text}");
            None
        }
    };
    (format, template)
}

/// The gateway without keys.
impl fmt::Display for SmsWebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = if self.keys.is_empty() { "unsigned" } else { "signed" };
        write!(f, "webhook, {}, {signed}", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_the_text_or_what_standard_webhooks_encodes() {
        let key = |text: &str| WebhookKey::parse(text).map(|key| key.expose().to_vec());
        let text = "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c";
        assert_eq!(key(text), Some(text.as_bytes().to_vec()));
        assert_eq!(key(&format!("whsec_{}", STANDARD.encode([7; 24]))), Some(vec![7; 24]));
        for wrong in ["", "short", "whsec_", "whsec_%", &format!("whsec_{}", STANDARD.encode([7; 23]))] {
            assert_eq!(key(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn address_may_have_a_query_and_is_shown_by_its_host() {
        assert_eq!(host("https://sms.example.com/v1?key=hunter2", true).as_deref(), Ok("sms.example.com"));
        assert_eq!(host("http://gateway:8080", true).as_deref(), Ok("gateway"));
        for wrong in [
            "sms.example.com",
            "http://sms.example.com",
            "https://sms.example.com/#a",
            "https://u:p@sms.example",
        ] {
            assert!(host(wrong, true).is_err(), "{wrong}");
        }
    }
}
