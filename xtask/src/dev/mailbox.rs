//! The messages that the origin's mailbox takes, printed as they come: codes and links for whoever develops.

use std::{collections::BTreeSet, net::SocketAddr};

use serde::Deserialize;

use super::http;

/// The mailbox of an origin, as far as it was printed.
#[derive(Debug)]
pub(super) struct Mailbox {
    origin: SocketAddr,
    /// The messages that were there the last time.
    printed: BTreeSet<Message>,
}

#[derive(Deserialize)]
struct Messages {
    items: Vec<Message>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Message {
    sent_at: String,
    to: String,
    purpose: String,
    code: Option<String>,
    link: Option<String>,
    subject: String,
    text: String,
}

impl Mailbox {
    pub(super) fn new(origin: SocketAddr) -> Self {
        Self { origin, printed: BTreeSet::new() }
    }

    /// Prints the messages that came since the last call. An origin that does not answer now is asked again the next time.
    pub(super) fn print_new(&mut self) {
        if let Ok((200, body)) = http::get(self.origin, "/dev/mailbox") {
            for line in self.new_lines(&body) {
                println!("{line}");
            }
        }
    }

    /// Returns a line for each message that was not there before, the oldest first.
    fn new_lines(&mut self, body: &str) -> Vec<String> {
        let Ok(Messages { items }) = serde_json::from_str(body) else { return Vec::new() };
        let lines =
            items.iter().rev().filter(|message| !self.printed.contains(message)).map(Message::line).collect();
        self.printed = items.into_iter().collect();
        lines
    }
}

impl Message {
    fn line(&self) -> String {
        let Self { to, purpose, code, link, subject, text, .. } = self;
        let secrets: Vec<_> = [("code", code), ("link", link)]
            .into_iter()
            .filter_map(|(name, secret)| Some(format!("{name} {}", secret.as_deref()?)))
            .collect();
        let first_line = if subject.is_empty() { text } else { subject };
        let what = if secrets.is_empty() { first_line.clone() } else { secrets.join(", ") };
        format!("message to {to} ({purpose}): {what}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(second: u8, code: Option<&str>, link: Option<&str>) -> Value {
        json!({
            "to": "ada@example.com", "channel": "email", "purpose": "verify", "code": code, "link": link,
            "token": null, "subject": "Hello", "text": "Hello, Ada", "sent_at": format!("2026-11-28T00:00:0{second}Z"),
        })
    }

    #[test]
    fn each_message_is_printed_once_and_the_oldest_first() {
        let mut mailbox = Mailbox::new(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let first = message(1, Some("204861"), None);
        let second = message(2, Some("118273"), Some("http://127.0.0.1:8787/verify-email?token=t"));
        let third = message(3, None, None);
        assert_eq!(mailbox.new_lines(&json!({"items": []}).to_string()), Vec::<String>::new());
        let lines = mailbox.new_lines(&json!({"items": [second, first]}).to_string());
        assert_eq!(
            lines,
            [
                "message to ada@example.com (verify): code 204861",
                "message to ada@example.com (verify): code 118273, link http://127.0.0.1:8787/verify-email?token=t",
            ]
        );
        let lines = mailbox.new_lines(&json!({"items": [third, second, first]}).to_string());
        assert_eq!(lines, ["message to ada@example.com (verify): Hello"]);
        assert_eq!(mailbox.new_lines("<html>"), Vec::<String>::new());
    }
}
