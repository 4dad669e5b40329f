//! The keys of access tokens: `edgechat keys`.

use clap::Subcommand;
use shared::{
    auth::key_ring::{KeyRing, KeyState, RotatedKey},
    time::Timestamp,
};

use crate::{
    app::App,
    auth::token_keys::{LEAD_S, MAX_LEAD_S, MIN_LEAD_S, Rotation},
    random::Random,
};

/// Commands about keys.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Print new random secrets as lines of a .env file; needs no configuration
    #[command(visible_alias = "new")]
    Make,
    /// Print each key of access tokens: whether it signs, since when, and until when its tokens are accepted
    List,
    /// Publish a new key of access tokens, which signs after a while; every origin follows by itself
    Rotate {
        /// Seconds from the publication to the first token that it signs: as long as anybody caches the published keys
        #[arg(long, value_name = "SECONDS", default_value_t = LEAD_S, value_parser = clap::value_parser!(u32).range(i64::from(MIN_LEAD_S)..=i64::from(MAX_LEAD_S)))]
        lead_seconds: u32,
    },
}

/// Runs a command, and returns what it has to say; without one, the key set.
pub(super) async fn run(app: &App, command: Option<KeysCommand>) -> Result<String, String> {
    let ring = app.auth.tokens.keys.read().await.map_err(|error| error.to_string())?;
    match command {
        None => serde_json::to_string_pretty(&ring.jwk_set(app.clock.now()))
            .map_err(|error| format!("the keys cannot be written as JSON: {error}")),
        Some(KeysCommand::Make) => Ok(new_secrets(&*app.random)),
        Some(KeysCommand::List) => Ok(list(&ring, app.clock.now())),
        Some(KeysCommand::Rotate { lead_seconds }) => rotate(app, lead_seconds).await,
    }
}

/// Makes the lines of a `.env` file with new secrets.
pub(super) fn new_secrets(random: &dyn Random) -> String {
    ["JWT_SECRET", "EDGE_KEYS"].map(|name| format!("{name}={}", secret(random))).join("\n")
}

/// Returns 256 random bits as hexadecimal digits.
fn secret(random: &dyn Random) -> String {
    let half = || {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    };
    format!("{:032x}{:032x}", half(), half())
}

async fn rotate(app: &App, lead_s: u32) -> Result<String, String> {
    let rotation = app.auth.tokens.keys.rotate(lead_s, &*app.random).await;
    match rotation.map_err(|error| error.to_string())? {
        Rotation::Published(kid, signs_from) => Ok(format!(
            "{kid} is published now and signs from {signs_from}; what older keys signed is accepted for a day longer, and nothing \
             else is to be done"
        )),
        Rotation::Pending(signs_from) => Err(format!(
            "there is a next key already, which signs from {signs_from}; rotate again after that"
        )),
    }
}

/// Lists the keys, the newest first, then those of `JWT_SECRET`.
fn list(ring: &KeyRing, now: Timestamp) -> String {
    let title = ["key", "state", "published since", "signs since", "accepted until"].map(str::to_owned);
    let rotated = ring.rotated().iter().rev().map(|key| row_of_rotated(ring, key, now));
    let own = ring.own().jwk_set().keys.iter().map(|key| {
        let state = if ring.signing(now).kid() == key.kid { "signing" } else { "of JWT_SECRET" };
        let while_listed = "as long as JWT_SECRET lists its secret".to_owned();
        [key.kid.clone(), state.to_owned(), "-".to_owned(), "-".to_owned(), while_listed]
    });
    let rows = [title].into_iter().chain(rotated).chain(own);
    let line = |[key, state, published, signs, until]: [String; 5]| {
        format!("{key:<44}{state:<15}{published:<26}{signs:<26}{until}")
    };
    rows.map(line).collect::<Vec<_>>().join("\n")
}

fn row_of_rotated(ring: &KeyRing, key: &RotatedKey, now: Timestamp) -> [String; 5] {
    let (state, accepted_until) = ring.state(key, now);
    let state = match state {
        KeyState::Next => "next",
        KeyState::Signing if key.private.is_none() => "not derivable",
        KeyState::Signing => "signing",
        KeyState::Old => "old",
        KeyState::Kept => "for deliveries",
    };
    let until = accepted_until.map_or_else(|| "-".to_owned(), |until| until.to_string());
    [
        key.public.kid.clone(),
        state.to_owned(),
        key.published_at.to_string(),
        key.signs_from.to_string(),
        until,
    ]
}
