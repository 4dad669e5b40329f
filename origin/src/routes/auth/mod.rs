//! Sign-up, sign-in, and what a token is worth.

pub(super) mod login;
pub(super) mod refresh;
pub(super) mod register;
pub(super) mod token;
pub(super) mod verify;

use shared::{
    api::{
        ErrorCode,
        account::{Tokens, User, normalize_email},
    },
    time::Timestamp,
};

use crate::{
    app::App,
    auth::sessions,
    http::{ClientIp, Failure, detached},
};

/// Signs somebody in by e-mail and password. Whether the e-mail or the password is wrong, neither the answer nor its time
/// tells.
///
/// Errors: [`ErrorCode::InvalidCredentials`], [`ErrorCode::RateLimited`].
async fn sign_in(
    app: &App,
    ip: &ClientIp,
    email: &str,
    password: String,
    device_name: Option<String>,
    now: Timestamp,
) -> Result<Tokens, Failure> {
    let email = normalize_email(email);
    app.throttle.sign_in(&*app.stores.ephemeral, ip, &email, now).await?;
    let user = detached(throttled(app.clone(), ip.clone(), email, password)).await??;
    sessions::open(app, user.ok_or(ErrorCode::InvalidCredentials)?, device_name, now).await
}

/// Like [`verified`], and tells the throttle, which has counted it as one that fails, how it ended.
async fn throttled(app: App, ip: ClientIp, email: String, password: String) -> Result<Option<User>, Failure> {
    let outcome = verified(&app, email.clone(), password).await;
    let ephemeral = &*app.stores.ephemeral;
    match &outcome {
        Ok(Some(_)) => app.throttle.signed_in(ephemeral, &ip, &email).await,
        Ok(None) => {}
        Err(_) => app.throttle.undecided(ephemeral, &ip, &email, app.clock.now()).await,
    }
    outcome
}

/// Who has this e-mail and this password, if anybody.
async fn verified(app: &App, email: String, password: String) -> Result<Option<User>, Failure> {
    let credential = app.stores.accounts.credential(email).await?;
    let (user, hash) = credential.map(|known| (known.user, known.password_hash)).unzip();
    let matches = app.passwords.verify(password, hash).await?;
    Ok(user.filter(|_| matches))
}
