//! The table of tokens that every verifier is tested with: the native one here, and those of Worker and origin from outside.
//!
//! - `headers`: keys, algorithms and headers
//! - `payloads`: claims
//! - `shapes`: lengths, parts and encodings

mod headers;
mod payloads;
mod shapes;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::{
    claims::{ALGORITHM, Claims, LEEWAY_S, TOKEN_TYPE},
    keys::Jwk,
    native::SigningKey,
    token::SIGNATURE_BYTES,
};
use crate::{api::error::ErrorCode, time::Timestamp};

/// Far enough from every limit that a test may take a while, in seconds.
const HOUR_S: i64 = 3_600;
/// Within the leeway, with time left for the test.
const WITHIN_LEEWAY_S: i64 = LEEWAY_S / 3;

/// One token and what a verifier must say to it.
#[derive(Clone, Debug)]
pub struct TokenCase {
    /// Its name: what is special about it.
    pub name: String,
    /// The token, to be sent as `Authorization: Bearer <token>`.
    pub token: String,
    /// Success where it lets its user in, else the code of the error.
    pub expected: Result<(), ErrorCode>,
}

/// All cases for a verifier that trusts `key`, at the time `now`. The claims tell who comes; their times are replaced.
///
/// The answers hold for 15 seconds after `now`, which is what a test over the network may take.
pub fn token_cases(key: &SigningKey, claims: &Claims, now: Timestamp) -> Vec<TokenCase> {
    let maker = Maker::new(key, claims, now);
    let mut cases = maker.times();
    cases.extend(maker.changed());
    cases.extend(maker.keys_and_algorithms());
    cases.extend(maker.headers());
    cases.extend(maker.payloads());
    cases.extend(maker.claim_types());
    cases.extend(maker.shapes());
    cases.extend(maker.encodings());
    cases
}

/// The cases a second from the ends of the leeway. The answers hold in the second of `now` only.
pub fn boundary_cases(key: &SigningKey, claims: &Claims, now: Timestamp) -> Vec<TokenCase> {
    let maker = Maker::new(key, claims, now);
    let expires = |ago_s: i64| maker.valid_from_to(-HOUR_S, -ago_s);
    let begins = |in_s: i64| maker.valid_from_to(in_s, HOUR_S);
    vec![
        good("expired a second less than the leeway ago", expires(LEEWAY_S - 1)),
        expired("expired the leeway ago", expires(LEEWAY_S)),
        expired("expired a second more than the leeway ago", expires(LEEWAY_S + 1)),
        good("begins in a second less than the leeway", begins(LEEWAY_S - 1)),
        good("begins in the leeway", begins(LEEWAY_S)),
        invalid("begins in a second more than the leeway", begins(LEEWAY_S + 1)),
    ]
}

type Object = Map<String, Value>;

struct Maker<'a> {
    key: &'a SigningKey,
    public_key: &'a Jwk,
    claims: Claims,
    now_s: i64,
}

impl<'a> Maker<'a> {
    fn new(key: &'a SigningKey, claims: &Claims, now: Timestamp) -> Self {
        let now_s = now.as_secs();
        let claims = Claims { iat: now_s, nbf: now_s, exp: now_s + HOUR_S, ..claims.clone() };
        Self { key, public_key: key.jwk(), claims, now_s }
    }

    fn times(&self) -> Vec<TokenCase> {
        let at = |nbf: i64, exp: i64| self.valid_from_to(nbf, exp);
        vec![
            good("valid", self.valid()),
            expired("expired", at(-2 * HOUR_S, -HOUR_S)),
            good("expired within the leeway", at(-HOUR_S, -WITHIN_LEEWAY_S)),
            invalid("not yet valid", at(HOUR_S, 2 * HOUR_S)),
            good("not yet valid within the leeway", at(WITHIN_LEEWAY_S, HOUR_S)),
            invalid("expired and for another audience", {
                let (iat, exp) = (self.now_s - 2 * HOUR_S, self.now_s - HOUR_S);
                self.key.sign(&Claims { iat, nbf: iat, exp, aud: "other".to_owned(), ..self.claims.clone() })
            }),
        ]
    }

    /// Texts that differ from a valid token in one place.
    fn changed(&self) -> Vec<TokenCase> {
        let header = self.header_text();
        let payload = self.payload_text();
        let signature = self.sign_texts(&header, &payload);
        let mut flipped = signature;
        if let Some(byte) = flipped.first_mut() {
            *byte ^= 1;
        }
        let wide = self.payload_text().replacen(':', ": ", 1);
        let richer = payload.replacen(r#""plan":"basic""#, r#""plan":"pro""#, 1);
        let poorer = payload.replacen(r#""plan":"pro""#, r#""plan":"basic""#, 1);
        let other_plan = if richer == payload { poorer } else { richer };
        let spaced = header.replacen(':', ": ", 1);
        vec![
            invalid("a byte more in the header", compact(&spaced, &payload, &signature)),
            invalid(
                "one byte changed in the header",
                compact(&change_last_quoted(&header), &payload, &signature),
            ),
            invalid("a byte more in the payload", compact(&header, &wide, &signature)),
            invalid(
                "one byte changed in the payload",
                compact(&header, &change_last_quoted(&payload), &signature),
            ),
            invalid("another plan in the payload", compact(&header, &other_plan, &signature)),
            invalid("one bit changed in the signature", compact(&header, &payload, &flipped)),
            invalid("the order of the group added to the signature", {
                compact(&header, &payload, &add_group_order(signature))
            }),
            invalid("a signature of zeros", compact(&header, &payload, &[0; SIGNATURE_BYTES])),
            invalid("a signature that is too short", compact(&header, &payload, &[1; SIGNATURE_BYTES - 1])),
            invalid("a signature that is too long", compact(&header, &payload, &[1; SIGNATURE_BYTES + 1])),
        ]
    }

    /// A token that is valid between these seconds from now.
    fn valid_from_to(&self, nbf: i64, exp: i64) -> String {
        let (nbf, exp) = (self.now_s + nbf, self.now_s + exp);
        self.key.sign(&Claims { iat: nbf, nbf, exp, ..self.claims.clone() })
    }

    fn valid(&self) -> String {
        self.key.sign(&self.claims)
    }

    fn header(&self) -> Object {
        object(json!({ "alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": self.key.kid() }))
    }

    fn header_with(&self, name: &str, value: Value) -> Object {
        with(self.header(), name, value)
    }

    fn header_without(&self, name: &str) -> Object {
        without(self.header(), name)
    }

    fn header_text(&self) -> String {
        text(&self.header())
    }

    fn payload(&self) -> Object {
        object(json!(self.claims))
    }

    fn payload_with(&self, name: &str, value: Value) -> Object {
        with(self.payload(), name, value)
    }

    fn payload_without(&self, name: &str) -> Object {
        without(self.payload(), name)
    }

    fn payload_text(&self) -> String {
        text(&self.payload())
    }

    fn sign_texts(&self, header: &str, payload: &str) -> [u8; SIGNATURE_BYTES] {
        self.key.signature(&signing_input(header, payload))
    }

    /// A token of these texts, signed with our key whatever they are.
    fn token(&self, header: &str, payload: &str) -> String {
        compact(header, payload, &self.sign_texts(header, payload))
    }
}

fn good(name: impl Into<String>, token: String) -> TokenCase {
    TokenCase { name: name.into(), token, expected: Ok(()) }
}

fn invalid(name: impl Into<String>, token: String) -> TokenCase {
    TokenCase { name: name.into(), token, expected: Err(ErrorCode::TokenInvalid) }
}

fn expired(name: impl Into<String>, token: String) -> TokenCase {
    TokenCase { name: name.into(), token, expected: Err(ErrorCode::TokenExpired) }
}

fn missing(name: impl Into<String>, token: String) -> TokenCase {
    TokenCase { name: name.into(), token, expected: Err(ErrorCode::TokenMissing) }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn with(mut object: Object, name: &str, value: Value) -> Object {
    object.insert(name.to_owned(), value);
    object
}

fn without(mut object: Object, name: &str) -> Object {
    object.remove(name);
    object
}

fn text(object: &Object) -> String {
    json!(object).to_string()
}

fn signing_input(header: &str, payload: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

fn compact(header: &str, payload: &str, signature: &[u8]) -> String {
    format!("{}.{}", signing_input(header, payload), URL_SAFE_NO_PAD.encode(signature))
}

fn hs256(secret: &[u8], header: &str, payload: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(secret).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(signing_input(header, payload).as_bytes());
            mac.finalize().into_bytes().to_vec()
        },
    )
}

/// Another character before the last quotation mark: still JSON, with one byte changed in its last text.
fn change_last_quoted(json: &str) -> String {
    let Some((before, after)) = json.rsplit_once('"') else {
        return String::new();
    };
    let mut before = before.to_owned();
    let last = before.pop().unwrap_or_default();
    before.push(if last == '0' { '1' } else { '0' });
    format!("{before}\"{after}")
}

/// The same signature with the order of the group added to its second half: it fits the equation, and only a verifier that
/// skips the range check of RFC 8032 (5.1.7) takes it.
fn add_group_order(mut signature: [u8; SIGNATURE_BYTES]) -> [u8; SIGNATURE_BYTES] {
    /// 2^252 + 27742317777372353535851937790883648493, little endian.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, order) in signature.iter_mut().skip(32).zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        let [high, low] = sum.to_be_bytes();
        (*byte, carry) = (low, u16::from(high));
    }
    signature
}
