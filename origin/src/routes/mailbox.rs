//! `GET /dev/mailbox`: mails that were kept instead of delivered. In production there is no mailbox.

use axum::{Json as Reply, extract::State};
use serde::Serialize;
use shared::{api::ErrorCode, time::Timestamp};

use crate::{app::App, http::Error, notify::mailbox::SentMail};

/// Messages, newest first.
#[derive(Serialize)]
pub(super) struct Messages {
    items: Vec<Message>,
}

/// A message that was sent.
#[derive(Serialize)]
struct Message {
    to: String,
    channel: &'static str,
    purpose: &'static str,
    /// The one-time code in it.
    code: Option<String>,
    /// The link in it.
    link: Option<String>,
    /// The token in its link.
    token: Option<String>,
    subject: String,
    text: String,
    sent_at: Timestamp,
}

/// Shows the mailbox.
pub(super) async fn list(State(app): State<App>) -> Result<Reply<Messages>, Error> {
    let mailbox = app.mailbox.as_ref().ok_or(ErrorCode::NotFound)?;
    Ok(Reply(Messages { items: mailbox.mails().into_iter().map(Message::from).collect() }))
}

impl From<SentMail> for Message {
    fn from(SentMail { mail, sent_at }: SentMail) -> Self {
        Self {
            to: mail.to,
            channel: "email",
            purpose: mail.purpose.as_str(),
            code: None,
            link: None,
            token: None,
            subject: mail.subject,
            text: mail.text,
            sent_at,
        }
    }
}
