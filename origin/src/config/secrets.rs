//! What the origin keeps to itself: the secret behind tokens and the keys it shares with the Worker.

use std::fmt;

use shared::auth::{
    edge::EdgeKeys,
    native::{MIN_SECRET_CHARS, SigningKey},
};

use super::{
    process::Environment,
    reader::{Reader, UNSET, masked},
};

const HOW_TO_MAKE_ONE: &str = "(`openssl rand -hex 32` makes one)";

/// The secrets section.
#[derive(Clone)]
pub struct SecretsConfig {
    /// `JWT_SECRET` (also `SECRET_KEY`), required: what the keys of tokens are derived from.
    pub jwt_secret: Secret,
    /// The key of access tokens, derived from it.
    pub signing_key: Option<SigningKey>,
    /// `EDGE_KEYS`, required in production: comma-separated; the first signs, all verify. Without keys only unsigned
    /// requests are served.
    pub edge_keys: Option<EdgeKeys>,
}

/// A value that never gets into a log.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps a value.
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl SecretsConfig {
    pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let (jwt_secret, signing_key) = jwt_secret(reader, environment);
        Self { jwt_secret, signing_key, edge_keys: edge_keys(reader, environment) }
    }
}

fn jwt_secret(reader: &mut Reader<'_>, environment: Environment) -> (Secret, Option<SigningKey>) {
    let wanted =
        format!("it should hold a random text of at least {MIN_SECRET_CHARS} characters {HOW_TO_MAKE_ONE}");
    let found =
        ["JWT_SECRET", "SECRET_KEY"].into_iter().find_map(|name| reader.text(name).map(|text| (name, text)));
    let Some((variable, text)) = found else {
        reader.wrong("JWT_SECRET", UNSET, wanted);
        return (Secret(String::new()), None);
    };
    let key = SigningKey::from_secret(text).ok();
    if key.is_none() {
        reader.wrong(variable, masked(text), wanted);
    } else if environment == Environment::Production && is_placeholder(text) {
        reader.wrong(variable, "held a placeholder", wanted);
    }
    (Secret(text.to_owned()), key)
}

fn edge_keys(reader: &mut Reader<'_>, environment: Environment) -> Option<EdgeKeys> {
    let wanted = format!(
        "it should hold one or two random texts of at least 32 characters, comma-separated {HOW_TO_MAKE_ONE}"
    );
    let Some(text) = reader.text("EDGE_KEYS") else {
        if environment == Environment::Production {
            reader.wrong("EDGE_KEYS", UNSET, wanted);
        }
        return None;
    };
    match EdgeKeys::parse(text) {
        Ok(_) if environment == Environment::Production && text.split(',').any(is_placeholder) => {
            reader.wrong("EDGE_KEYS", "held a placeholder", wanted);
            None
        }
        Ok(keys) => Some(keys),
        Err(error) => {
            let held = format!("held a list in which key {} has {} characters", error.position, error.chars);
            reader.wrong("EDGE_KEYS", held, wanted);
            None
        }
    }
}

/// Whether a secret is of the kind that examples and development set-ups hold.
fn is_placeholder(secret: &str) -> bool {
    const WORDS: [&str; 7] = ["development", "change", "example", "your-", "your_", "secret", "insecure"];
    let lower = secret.to_lowercase();
    let distinct = lower.chars().collect::<std::collections::BTreeSet<_>>().len();
    distinct < 8 || WORDS.iter().any(|word| lower.contains(word))
}
