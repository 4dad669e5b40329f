//! Claims: each one missing, of another type, in a list, twice; and payloads that are none.

use serde_json::{Value, json};

use super::{
    super::claims::{AUDIENCE, Claims},
    Maker, TokenCase, expired, good, invalid, text,
};

/// So deep is a claim nested that a reader which follows it by calling itself would run out of its stack.
const DEEP: usize = 1_500;

impl Maker<'_> {
    pub(super) fn payloads(&self) -> Vec<TokenCase> {
        let header = self.header_text();
        let of = |payload: &str| self.token(&header, payload);
        let with = |name: &str, value: Value| of(&text(&self.payload_with(name, value)));
        let payload = self.payload_text();
        vec![
            good("a claim that is not known yet", with("scope", json!("chat"))),
            good("an unknown claim that is nested deeply", {
                of(&self.payload_and(&format!(r#""x":{}{}"#, "[".repeat(DEEP), "]".repeat(DEEP))))
            }),
            invalid("another issuer", with("iss", json!("https://evil.example"))),
            invalid("the issuer in capitals", with("iss", json!("EdgeChat"))),
            invalid("another audience", with("aud", json!("other-api"))),
            invalid("a list of audiences with ours", with("aud", json!(["other-api", AUDIENCE]))),
            invalid("exp too large for a number", with("exp", json!(1e300))),
            expired("exp below zero", with("exp", json!(-self.claims.exp))),
            invalid("a subject that is no id", with("sub", json!("admin"))),
            invalid(
                "a subject with something behind it",
                with("sub", json!(format!("{}\0", self.claims.sub))),
            ),
            invalid("an unknown plan", with("plan", json!("root"))),
            invalid("another subject behind the first", {
                of(&self.payload_and(&format!(r#""sub":"{}""#, self.claims.jti)))
            }),
            invalid("sub twice, once in another spelling", {
                of(&self.payload_and(&format!(r#""\u0073ub":"{}""#, self.claims.sub)))
            }),
            invalid("claims within a claim", of(&json!({ "claims": self.payload() }).to_string())),
            invalid("a payload that is a list", {
                let Claims { iss, aud, sub, sid, jti, iat, nbf, exp, plan } = &self.claims;
                of(&json!([iss, aud, sub, sid, jti, iat, nbf, exp, plan]).to_string())
            }),
            invalid("a payload that is null", of("null")),
            invalid("a payload that is not JSON", of("{")),
            invalid("a payload with something behind it", of(&format!("{payload}{{}}"))),
            invalid("a payload with a byte order mark", of(&format!("\u{feff}{payload}"))),
            invalid("an empty payload", of("")),
        ]
    }

    /// Each claim, in every way in which it is not what it should be.
    pub(super) fn claim_types(&self) -> Vec<TokenCase> {
        let header = self.header_text();
        let mut cases = Vec::new();
        for (name, value) in self.payload() {
            cases.push(invalid(
                format!("no {name}"),
                self.token(&header, &text(&self.payload_without(&name))),
            ));
            for (kind, other) in others(&value) {
                let payload = text(&self.payload_with(&name, other));
                cases.push(invalid(format!("{name} as {kind}"), self.token(&header, &payload)));
            }
            let twice = self.payload_and(&format!(r#""{name}":{value}"#));
            cases.push(invalid(format!("{name} twice"), self.token(&header, &twice)));
        }
        cases
    }

    /// The text of the payload with one more member.
    fn payload_and(&self, member: &str) -> String {
        let payload = self.payload_text();
        format!("{},{member}}}", payload.strip_suffix('}').unwrap_or(&payload))
    }
}

/// Values of other types in the place of this one.
fn others(value: &Value) -> Vec<(&'static str, Value)> {
    let mut others = match value.as_i64() {
        Some(_) => vec![
            ("a text", json!(value.to_string())),
            ("a fraction", value.as_f64().map_or(Value::Null, |number| json!(number + 0.5))),
        ],
        None => vec![("a number", json!(1)), ("an empty text", json!(""))],
    };
    others.extend([
        ("null", Value::Null),
        ("true", json!(true)),
        ("a list", json!([value])),
        ("an object", json!({ "value": value })),
    ]);
    others
}
