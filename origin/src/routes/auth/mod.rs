//! Sign-up, sign-in, and what a token is worth.

pub(super) mod login;
pub(super) mod refresh;
pub(super) mod register;
pub(super) mod token;
pub(super) mod verify;

use shared::{
    api::{
        ErrorCode,
        account::{Tokens, User},
    },
    limits::ip::network,
    text::{earlier_email, normalize_email},
};

use crate::{
    app::App,
    auth::{passwords::PasswordMatch, sessions, throttle::Guesser},
    http::{ClientIp, Failure, detached},
    store::{StoreResult, accounts::credentials::Credential},
};

/// Somebody who wants to sign in.
struct Attempt {
    /// From where.
    ip: ClientIp,
    /// A token they show beside, such as that of their last session; it need not be valid any more.
    shown: Option<String>,
    /// The e-mail as it was typed.
    email: String,
    /// The password as it was typed.
    password: String,
}

/// Signs somebody in by e-mail and password. Whether the e-mail or the password is wrong, neither the answer nor its time
/// tells.
///
/// Errors: [`ErrorCode::InvalidCredentials`], [`ErrorCode::RateLimited`].
async fn sign_in(app: &App, attempt: Attempt, device_name: Option<String>) -> Result<Tokens, Failure> {
    let (now, ip) = (app.clock.now(), attempt.ip.clone());
    let email = normalize_email(&attempt.email);
    app.throttle.sign_in(&*app.stores.ephemeral, &ip, &email, now).await?;
    let user = detached(throttled(app.clone(), attempt, email)).await??;
    sessions::open(app, user.ok_or(ErrorCode::InvalidCredentials)?, &ip, device_name, now).await
}

/// Like [`guessed`], and tells the throttle, which has counted it as one that fails, how it ended.
async fn throttled(app: App, attempt: Attempt, email: String) -> Result<Option<User>, Failure> {
    let ip = attempt.ip.clone();
    let outcome = guessed(&app, attempt, &email).await;
    let ephemeral = &*app.stores.ephemeral;
    match &outcome {
        Ok(Some(_)) => app.throttle.signed_in(ephemeral, &ip, &email).await,
        Ok(None) => {}
        Err(_) => app.throttle.undecided(ephemeral, &ip, &email, app.clock.now()).await,
    }
    outcome
}

/// Who has this e-mail and this password, if anybody, within what may be guessed in a day.
async fn guessed(app: &App, attempt: Attempt, email: &str) -> Result<Option<User>, Failure> {
    let network = network(&attempt.ip.0).map(|network| network.to_string());
    let credential = credential(app, &attempt.email, email, network.clone()).await?;
    let guesser = guesser(app, &attempt, email, credential.as_ref(), network.as_deref());
    let ephemeral = &*app.stores.ephemeral;
    app.throttle.guess(ephemeral, &guesser, app.clock.now()).await?;
    let outcome = verified(app, credential, attempt.password).await;
    if !matches!(outcome, Ok(None)) {
        app.throttle.not_wrong(ephemeral, &guesser, app.clock.now()).await;
    }
    outcome
}

/// The credential of an address, which may be stored as it was typed at a time when addresses were compared more strictly.
async fn credential(
    app: &App,
    typed: &str,
    email: &str,
    network: Option<String>,
) -> StoreResult<Option<Credential>> {
    let accounts = &app.stores.accounts;
    let known = accounts.credential(email.to_owned(), network.clone()).await?;
    // Asked for in any case, so that the time does not tell whether there is an account.
    let earlier = match earlier_email(typed) {
        Some(earlier) => accounts.credential(earlier, network).await?,
        None => None,
    };
    Ok(known.or(earlier))
}

/// Whose guess this is: that of a device which signed in to the account before, or anybody's.
fn guesser(
    app: &App,
    attempt: &Attempt,
    email: &str,
    credential: Option<&Credential>,
    network: Option<&str>,
) -> Guesser {
    let Some(credential) = credential else { return Guesser::stranger(email) };
    let shown = attempt.shown.as_deref().and_then(|token| app.tokens.verify_origin(token).ok());
    if let Some(claims) = shown.filter(|claims| claims.sub == credential.user.id) {
        return Guesser::with_session(claims.sid);
    }
    match network.filter(|_| credential.is_known_network) {
        Some(network) => Guesser::in_known_network(credential.user.id, network),
        None => Guesser::stranger(email),
    }
}

/// The user of a credential, when this is their password. A hash of before passwords were normalized is replaced.
async fn verified(
    app: &App,
    credential: Option<Credential>,
    password: String,
) -> Result<Option<User>, Failure> {
    let (user, hash) = credential.map(|known| (known.user, known.password_hash)).unzip();
    match (app.passwords.verify(password.clone(), hash.clone()).await?, user, hash) {
        (PasswordMatch::Right, user, _) => Ok(user),
        (PasswordMatch::RightAsTyped, Some(user), Some(hash)) => {
            if let Err(error) = rehash(app, &user, hash, password).await {
                tracing::warn!(reason = error.reason().as_deref(), "a password's hash was not replaced");
            }
            Ok(Some(user))
        }
        _ => Ok(None),
    }
}

async fn rehash(app: &App, user: &User, old: String, password: String) -> Result<(), Failure> {
    let new = app.passwords.hash(password, &*app.random).await?;
    app.stores.accounts.replace_password_hash(user.id, old, new).await?;
    Ok(())
}
