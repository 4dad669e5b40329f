//! `/verify-email`: confirms the address that a link was sent to.

use axum::{extract::State, http::StatusCode, response::Response};

use super::{Fields, html::Page, refusal};
use crate::{app::App, auth::Requester};

/// Asks whether the address is to be confirmed.
pub(super) async fn show(State(app): State<App>, requester: Requester, mut fields: Fields) -> Response {
    let token = fields.take("token");
    let name = &app.config.process.app_name;
    match app.auth.user_of_email_link(&requester, &token).await {
        Ok(user) if user.email_verified => confirmed(name),
        Ok(user) => Page::new("Confirm your address")
            .text(&format!("Is {} the address of your {name} account?", user.email.unwrap_or_default()))
            .form("verify-email", &token)
            .button("Yes, confirm it")
            .text(&format!(
                "If you did not register with {name}, close this page: somebody else typed your address."
            ))
            .response(name, StatusCode::OK),
        Err(error) => refusal(&app, error),
    }
}

/// Confirms the address.
pub(super) async fn confirm(State(app): State<App>, requester: Requester, mut fields: Fields) -> Response {
    match app.auth.confirm_email(&requester, &fields.take("token")).await {
        Ok(_) => confirmed(&app.config.process.app_name),
        Err(error) => refusal(&app, error),
    }
}

fn confirmed(app_name: &str) -> Response {
    Page::new("Your address is confirmed")
        .text("You can go back to the app.")
        .response(app_name, StatusCode::OK)
}
