//! Sign-up, sign-in, and what a token is worth.

pub(super) mod login;
pub(super) mod refresh;
pub(super) mod register;
pub(super) mod token;
pub(super) mod verify;

use shared::{api::account::Tokens, time::Timestamp};

use crate::{app::App, auth::sessions, http::ClientIp, http::Failure};

use shared::api::{ErrorCode, account::normalize_email};

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
    let credential = app.stores.accounts.credential(email.clone()).await?;
    let (user, hash) = credential.map(|known| (known.user, known.password_hash)).unzip();
    let matches = app.passwords.verify(password, hash).await?;
    let user = user.filter(|_| matches).ok_or(ErrorCode::InvalidCredentials)?;
    app.throttle.signed_in(&*app.stores.ephemeral, ip, &email).await;
    sessions::open(app, user, device_name, now).await
}
