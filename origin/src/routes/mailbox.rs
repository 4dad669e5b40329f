//! `GET /dev/mailbox`: messages that were kept instead of delivered. In production there is no mailbox.

use axum::{Json as Reply, extract::State};
use serde::Serialize;
use shared::{api::ErrorCode, time::Timestamp};

use crate::{
    app::App,
    http::Error,
    notify::{Channel, mailbox::SentMessage},
};

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
    let mailbox = app.channels.mailbox.as_ref().ok_or(ErrorCode::NotFound)?;
    Ok(Reply(Messages { items: mailbox.messages().into_iter().map(Message::from).collect() }))
}

impl From<SentMessage> for Message {
    fn from(SentMessage { message, sent_at }: SentMessage) -> Self {
        Self {
            to: message.to.as_str().to_owned(),
            channel: Channel::of(&message.to).as_str(),
            purpose: message.purpose.as_str(),
            code: message.code,
            link: message.link,
            token: message.token,
            subject: message.subject,
            text: message.text,
            sent_at,
        }
    }
}
