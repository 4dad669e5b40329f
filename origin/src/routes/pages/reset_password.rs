//! `/reset-password`: sets a new password by the token of a link.

use axum::{extract::State, http::StatusCode, response::Response};
use garde::Validate as _;
use shared::api::account::passwords::{MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, ResetPasswordRequest};

use super::{Fields, html::Page, refusal};
use crate::{
    app::App,
    auth::{AuthError, Requester},
    events::Announcements,
};

/// Shows the form.
pub(super) async fn show(State(app): State<App>, requester: Requester, mut fields: Fields) -> Response {
    form(&app, &requester, &fields.take("token"), None).await
}

/// Sets the password.
pub(super) async fn set(
    State(app): State<App>,
    requester: Requester,
    announcements: Announcements,
    mut fields: Fields,
) -> Response {
    let request =
        ResetPasswordRequest { token: fields.take("token"), new_password: fields.take("new_password") };
    if request.validate().is_err() {
        let rule = format!("A password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters.");
        return form(&app, &requester, &request.token, Some(&rule)).await;
    }
    let ResetPasswordRequest { token, new_password } = request;
    match app.auth.reset_password(&requester, &token, new_password, &announcements).await {
        Ok(()) => Page::new("Your password is changed")
            .text("You were signed out everywhere. Sign in with the new password in the app.")
            .response(&app.config.process.app_name, StatusCode::OK),
        Err(AuthError::PasswordGuessable { .. }) => {
            let rule = "This password is too easy to guess. Choose a longer or less common one.";
            form(&app, &requester, &token, Some(rule)).await
        }
        Err(error) => refusal(&app, error),
    }
}

/// Returns the form, with what was wrong with it before.
async fn form(app: &App, requester: &Requester, token: &str, problem: Option<&str>) -> Response {
    let user = match app.auth.user_of_reset_token(requester, token).await {
        Ok(user) => user,
        Err(error) => return refusal(app, error),
    };
    let mut page = Page::new("Choose a new password");
    if let Some(problem) = problem {
        page = page.problem(problem);
    }
    page = page.form("reset-password", token);
    if let Some(email) = &user.email {
        page = page.username(email);
    }
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page.new_password("new_password", MIN_PASSWORD_CHARS, MAX_PASSWORD_CHARS)
        .button("Set the password")
        .text("You will be signed out everywhere.")
        .response(&app.config.process.app_name, status)
}
