//! Keys, algorithms and headers.

use serde_json::{Value, json};

use super::{
    super::{edge::sha256, native::SigningKey},
    ALGORITHM, Maker, TOKEN_TYPE, TokenCase, compact, hs256, invalid, signing_input, text,
};

/// The beginning of the key in DER (RFC 8410, section 10.1), as a library may hold it.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
const EVIL: &str = "https://evil.example/jwks.json";

impl Maker<'_> {
    pub(super) fn keys_and_algorithms(&self) -> Vec<TokenCase> {
        let payload = self.payload_text();
        let alg = |alg: Value| text(&self.header_with("alg", alg));
        let symmetric = alg(json!("HS256"));
        let with_secret = |secret: &[u8]| compact(&symmetric, &payload, &hs256(secret, &symmetric, &payload));
        let public_key = self.public_key.public_key().unwrap_or_default();
        // A stranger's key under our key's name.
        let stranger = SigningKey::from_seed(sha256(b"somebody else's seed"));
        let header = self.header_text();
        let by_stranger = compact(&header, &payload, &stranger.signature(&signing_input(&header, &payload)));
        let mut cases = vec![
            invalid("alg none without a signature", compact(&alg(json!("none")), &payload, &[])),
            invalid("alg none with a signature", self.token(&alg(json!("none")), &payload)),
            invalid("alg None", compact(&alg(json!("None")), &payload, &[])),
            invalid("no signature", compact(&header, &payload, &[])),
            invalid("HS256 with the public key's bytes", with_secret(&public_key)),
            invalid("HS256 with the public key's text", with_secret(self.public_key.x.as_bytes())),
            invalid("HS256 with the public key in DER", {
                with_secret(&[SPKI_PREFIX.as_slice(), &public_key].concat())
            }),
            invalid("HS256 with the JWK", with_secret(json!(self.public_key).to_string().as_bytes())),
            invalid("HS256 with the key's name", with_secret(self.key.kid().as_bytes())),
            invalid("HS256 with an empty secret", with_secret(b"")),
            invalid(
                "an unknown key",
                self.token(&text(&self.header_with("kid", json!(stranger.kid()))), &payload),
            ),
            invalid("another key under this name", by_stranger),
            invalid("another key under its own name", stranger.sign(&self.claims)),
        ];
        // Signed as it should be, whatever the header says.
        let named = ["eddsa", "Ed25519", "Ed448", "ES256", "RS256", "PS256", "HS256", "EdDSA "];
        cases.extend(
            named.map(|name| invalid(format!("alg “{name}”"), self.token(&alg(json!(name)), &payload))),
        );
        cases
    }

    pub(super) fn headers(&self) -> Vec<TokenCase> {
        let payload = self.payload_text();
        let of = |header: &str| self.token(header, &payload);
        let with = |name: &str, value: Value| of(&text(&self.header_with(name, value)));
        let kid = self.key.kid();
        let header = self.header_text();
        let mut cases = vec![
            invalid("a header that is a list", of(&json!([ALGORITHM, TOKEN_TYPE, kid]).to_string())),
            invalid("a header that is null", of("null")),
            invalid("a header that is not JSON", of("{")),
            invalid("an empty header", of("")),
            invalid("a header with something behind it", of(&format!("{header}{{}}"))),
        ];
        for (name, value) in self.header() {
            cases.push(invalid(format!("no {name}"), of(&text(&self.header_without(&name)))));
            cases.push(invalid(format!("{name} null"), with(&name, Value::Null)));
            cases.push(invalid(format!("{name} in a list"), with(&name, json!([value]))));
            let body = header.strip_suffix('}').unwrap_or(&header);
            cases.push(invalid(format!("{name} twice"), of(&format!(r#"{body},"{name}":{value}}}"#))));
        }
        for typ in ["JWT", "jwt", "AT+JWT", "application/at+jwt", "rt+jwt", ""] {
            cases.push(invalid(format!("typ “{typ}”"), with("typ", json!(typ))));
        }
        for (what, kid) in kids(kid) {
            cases.push(invalid(format!("a kid that is {what}"), with("kid", kid)));
        }
        for (name, value) in self.extensions() {
            cases.push(invalid(format!("{name} {value:.40}"), with(name, value)));
        }
        cases
    }

    /// Members that ask for trust, or for another reading of the token.
    fn extensions(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("crit", json!(["exp"])),
            ("crit", json!(["kid"])),
            ("crit", json!(["b64"])),
            ("crit", json!([])),
            ("crit", Value::Null),
            ("jku", json!(EVIL)),
            ("jwk", json!(self.public_key)),
            ("x5u", json!(EVIL)),
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("AAAA")),
            ("x5t#S256", json!("AAAA")),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
            ("cty", json!("JWT")),
            ("iss", json!("edgechat")),
        ]
    }
}

/// Names of keys that are none of ours, and nobody is asked for.
fn kids(kid: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("empty", json!("")),
        ("a number", json!(1)),
        ("no thumbprint", json!("key-1")),
        ("a character longer", json!(format!("{kid}A"))),
        ("followed by a zero", json!(format!("{kid}\0"))),
        ("padded", json!(format!("{kid}="))),
        ("a path", json!("../../../../../../../dev/null")),
        ("an address", json!(EVIL)),
        ("SQL", json!("x' UNION SELECT 'secret'; --")),
        ("a command", json!("| cat /etc/passwd")),
        ("an object", json!({ "kid": kid })),
        ("10 kB long", json!("A".repeat(10_000))),
    ]
}
