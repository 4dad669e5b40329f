//! The secrets: those behind tokens, and the keys shared with the Worker.

use std::fmt;

use shared::auth::{
    edge::EdgeKeys,
    native::{MIN_SECRET_CHARS, SigningKeys, split_secrets},
};

use super::{
    process::Environment,
    reader::{Reader, UNSET, masked},
};

const HOW_TO_MAKE_ONE: &str = "(`openssl rand -hex 32` makes one)";

/// The secrets section.
#[derive(Clone)]
pub struct SecretsConfig {
    /// `JWT_SECRET` (also `SECRET_KEY`), required: the secrets from which the keys of tokens are derived; comma-separated, the
    /// first signs, all verify.
    pub jwt_secrets: Vec<Secret>,
    /// The keys of access tokens, derived from them.
    pub signing_keys: Option<SigningKeys>,
    /// `EDGE_KEYS`, required in production: comma-separated; the first signs, all verify. Without keys only unsigned
    /// requests are served.
    pub edge_keys: Option<EdgeKeys>,
}

/// A value that is never logged.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the value itself.
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
        let (jwt_secrets, signing_keys) = jwt_secrets(reader, environment);
        Self { jwt_secrets, signing_keys, edge_keys: edge_keys(reader, environment) }
    }
}

fn jwt_secrets(reader: &mut Reader<'_>, environment: Environment) -> (Vec<Secret>, Option<SigningKeys>) {
    let wanted =
        format!("it should hold a random text of at least {MIN_SECRET_CHARS} characters {HOW_TO_MAKE_ONE}");
    let found =
        ["JWT_SECRET", "SECRET_KEY"].into_iter().find_map(|name| reader.text(name).map(|text| (name, text)));
    let Some((variable, text)) = found else {
        reader.wrong("JWT_SECRET", UNSET, wanted);
        return (Vec::new(), None);
    };
    let keys = SigningKeys::parse(text);
    match &keys {
        Ok(_) if environment == Environment::Production && split_secrets(text).any(is_placeholder) => {
            reader.wrong(variable, "held a placeholder", wanted);
        }
        Ok(_) => (),
        Err(_) if !text.contains(',') => reader.wrong(variable, masked(text), wanted),
        Err(error) => {
            let held =
                format!("held a list in which secret {} has {} characters", error.position, error.chars);
            let wanted = format!("{wanted}, or several with commas between, and none that contains a comma");
            reader.wrong(variable, held, wanted);
        }
    }
    (split_secrets(text).map(Secret::new).collect(), keys.ok())
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

/// Returns true for secrets as in examples and development set-ups.
pub(super) fn is_placeholder(secret: &str) -> bool {
    const WORDS: [&str; 7] = ["development", "change", "example", "your-", "your_", "secret", "insecure"];
    let lower = secret.to_lowercase();
    let distinct = lower.chars().collect::<std::collections::BTreeSet<_>>().len();
    distinct < 8 || WORDS.iter().any(|word| lower.contains(word))
}
