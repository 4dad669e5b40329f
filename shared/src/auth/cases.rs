//! The table of tokens that every verifier is tested with: the native one here, and the Worker's from outside.

use base64::{
    Engine as _,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::{
    claims::{Claims, LEEWAY_S, MAX_TOKEN_BYTES, TOKEN_TYPE},
    edge::sha256,
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
    pub name: &'static str,
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
    cases.extend(maker.claims());
    cases.extend(maker.shapes());
    cases
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
        let at = |nbf: i64, exp: i64| {
            let (nbf, exp) = (self.now_s + nbf, self.now_s + exp);
            self.key.sign(&Claims { iat: nbf, nbf, exp, ..self.claims.clone() })
        };
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

    fn keys_and_algorithms(&self) -> Vec<TokenCase> {
        let payload = self.payload_text();
        let alg = |alg: &str| text(&self.header_with("alg", json!(alg)));
        let symmetric = text(&self.header_with("alg", json!("HS256")));
        let with_secret = |secret: &[u8]| compact(&symmetric, &payload, &hs256(secret, &symmetric, &payload));
        // A stranger's key under our key's name.
        let stranger = SigningKey::from_seed(sha256(b"somebody else's seed"));
        let header = self.header_text();
        let by_stranger = compact(&header, &payload, &stranger.signature(&signing_input(&header, &payload)));
        vec![
            invalid("alg none without a signature", compact(&alg("none"), &payload, &[])),
            invalid("alg none with a signature", self.token(&alg("none"), &payload)),
            invalid("alg None", compact(&alg("None"), &payload, &[])),
            invalid("alg eddsa in lower case", self.token(&alg("eddsa"), &payload)),
            invalid("HS256 with the public key's bytes", {
                with_secret(&self.public_key.public_key().unwrap_or_default())
            }),
            invalid("HS256 with the public key's text", with_secret(self.public_key.x.as_bytes())),
            invalid("HS256 with the JWK", with_secret(json!(self.public_key).to_string().as_bytes())),
            invalid("ES256", self.token(&text(&self.header_with("alg", json!("ES256"))), &payload)),
            invalid(
                "an unknown key",
                self.token(&text(&self.header_with("kid", json!(stranger.kid()))), &payload),
            ),
            invalid("another key under this name", by_stranger),
            invalid("another key under its own name", stranger.sign(&self.claims)),
        ]
    }

    fn headers(&self) -> Vec<TokenCase> {
        let payload = self.payload_text();
        let with = |name: &str, value: Value| self.token(&text(&self.header_with(name, value)), &payload);
        let without = |name: &str| self.token(&text(&self.header_without(name)), &payload);
        let kid = self.key.kid();
        let doubled = format!(r#"{{"alg":"EdDSA","alg":"EdDSA","kid":"{kid}","typ":"{TOKEN_TYPE}"}}"#);
        vec![
            invalid("typ JWT", with("typ", json!("JWT"))),
            invalid("no typ", without("typ")),
            invalid("no kid", without("kid")),
            invalid("an empty kid", with("kid", json!(""))),
            invalid("a kid that is a number", with("kid", json!(1))),
            invalid("a kid that is no thumbprint", with("kid", json!("key-1"))),
            invalid("a kid with a character more", with("kid", json!(format!("{kid}A")))),
            invalid("no alg", without("alg")),
            invalid("alg null", with("alg", Value::Null)),
            invalid("alg twice", self.token(&doubled, &payload)),
            invalid("crit", with("crit", json!(["exp"]))),
            invalid("an empty crit", with("crit", json!([]))),
            invalid("jku", with("jku", json!("https://evil.example/jwks.json"))),
            invalid("jwk", with("jwk", json!(self.public_key))),
            invalid("x5u", with("x5u", json!("https://evil.example/cert.pem"))),
            invalid("x5c", with("x5c", json!(["MIIB"]))),
            invalid("b64 false", with("b64", json!(false))),
            invalid("zip", with("zip", json!("DEF"))),
            invalid("a header that is a list", {
                self.token(&json!([super::claims::ALGORITHM, TOKEN_TYPE, kid]).to_string(), &payload)
            }),
            invalid("a header that is not JSON", self.token("{", &payload)),
            invalid(
                "a header with something behind it",
                self.token(&format!("{}{{}}", self.header_text()), &payload),
            ),
        ]
    }

    fn claims(&self) -> Vec<TokenCase> {
        let header = self.header_text();
        let with = |name: &str, value: Value| self.token(&header, &text(&self.payload_with(name, value)));
        let without = |name: &str| self.token(&header, &text(&self.payload_without(name)));
        let doubled = |more: String| {
            let payload = self.payload_text();
            let body = payload.strip_suffix('}').unwrap_or(&payload);
            self.token(&header, &format!("{body},{more}}}"))
        };
        let exp = self.claims.exp;
        let mut cases = vec![
            good("a claim that is not known yet", with("scope", json!("chat"))),
            invalid("another issuer", with("iss", json!("https://evil.example"))),
            invalid("the issuer in capitals", with("iss", json!("EdgeChat"))),
            invalid("another audience", with("aud", json!("other-api"))),
            invalid("a list of audiences", with("aud", json!([super::claims::AUDIENCE]))),
            invalid("exp as a string", with("exp", json!(exp.to_string()))),
            invalid("exp null", with("exp", Value::Null)),
            invalid("exp too large for a number", with("exp", json!(1e300))),
            invalid("nbf as a string", with("nbf", json!("0"))),
            invalid("a subject that is no id", with("sub", json!("admin"))),
            invalid("a subject that is a number", with("sub", json!(1))),
            invalid("an unknown plan", with("plan", json!("root"))),
            invalid("sub twice", doubled(format!(r#""sub":"{}""#, self.claims.jti))),
            invalid("exp twice", doubled(format!(r#""exp":{exp}"#))),
            invalid("a payload that is a list", {
                let Claims { iss, aud, sub, sid, jti, iat, nbf, exp, plan } = &self.claims;
                self.token(&header, &json!([iss, aud, sub, sid, jti, iat, nbf, exp, plan]).to_string())
            }),
            invalid("a payload that is not JSON", self.token(&header, "{")),
            invalid("an empty payload", self.token(&header, "")),
        ];
        cases.extend(
            [
                ("no iss", "iss"),
                ("no aud", "aud"),
                ("no sub", "sub"),
                ("no sid", "sid"),
                ("no jti", "jti"),
                ("no iat", "iat"),
                ("no nbf", "nbf"),
                ("no exp", "exp"),
                ("no plan", "plan"),
            ]
            .map(|(name, claim)| invalid(name, without(claim))),
        );
        cases
    }

    fn shapes(&self) -> Vec<TokenCase> {
        let (header, payload) = (self.header_text(), self.payload_text());
        let signature = self.sign_texts(&header, &payload);
        let valid = self.valid();
        let input = signing_input(&header, &payload);
        let padded_header =
            URL_SAFE.encode(if header.len() % 3 == 0 { format!("{header} ") } else { header.clone() });
        let refresh = URL_SAFE_NO_PAD.encode(sha256(b"256 bits that only the origin can make sense of"));
        let oversized = self.payload_with("filler", json!("x".repeat(MAX_TOKEN_BYTES)));
        let inner = self.payload_with("filler", json!("x".repeat(MAX_TOKEN_BYTES / 2)));
        vec![
            missing("empty", String::new()),
            good("long, but within the limit", self.token(&header, &text(&inner))),
            invalid("over 8 KiB", self.token(&header, &text(&oversized))),
            invalid("one part", URL_SAFE_NO_PAD.encode(&header)),
            invalid("two parts", input.clone()),
            invalid("four parts", format!("{valid}.")),
            invalid("five parts, as an encrypted token has", format!("{valid}.AAAA.AAAA")),
            invalid("dots only", "..".to_owned()),
            invalid("a dot before it", format!(".{valid}")),
            invalid("padding behind the signature", format!("{input}.{}", URL_SAFE.encode(signature))),
            invalid("padding in the header", {
                let input = format!("{padded_header}.{}", URL_SAFE_NO_PAD.encode(&payload));
                format!("{input}.{}", URL_SAFE_NO_PAD.encode(self.key.signature(&input)))
            }),
            invalid(
                "a signature that ends in loose bits",
                format!("{input}.{}", with_loose_bits(&signature)),
            ),
            invalid("characters of plain base64", format!("{input}.+/{}", "A".repeat(84))),
            invalid("two tokens", format!("{valid}, {valid}")),
            invalid("a space within", valid.replacen('.', ". ", 1)),
            invalid("the scheme twice", format!("Bearer {valid}")),
            invalid("a refresh token", refresh.clone()),
            invalid("a refresh token with a prefix", format!("rt_{refresh}")),
            invalid("a refresh token in three parts", format!("{refresh}.{refresh}.{refresh}")),
        ]
    }

    fn valid(&self) -> String {
        self.key.sign(&self.claims)
    }

    fn header(&self) -> Object {
        object(json!({ "alg": super::claims::ALGORITHM, "typ": TOKEN_TYPE, "kid": self.key.kid() }))
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

const fn good(name: &'static str, token: String) -> TokenCase {
    TokenCase { name, token, expected: Ok(()) }
}

const fn invalid(name: &'static str, token: String) -> TokenCase {
    TokenCase { name, token, expected: Err(ErrorCode::TokenInvalid) }
}

const fn expired(name: &'static str, token: String) -> TokenCase {
    TokenCase { name, token, expected: Err(ErrorCode::TokenExpired) }
}

const fn missing(name: &'static str, token: String) -> TokenCase {
    TokenCase { name, token, expected: Err(ErrorCode::TokenMissing) }
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

/// The same signature for a lax reader: 86 characters hold 516 bits, so the last four are zero and here one is not.
fn with_loose_bits(signature: &[u8; SIGNATURE_BYTES]) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(signature);
    // A, Q, g or w; their neighbours in the alphabet differ in the last bit.
    let last = text.pop().map_or(0, u32::from);
    text.extend(char::from_u32(last + 1));
    text
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
