//! A message as a mail (RFC 5322): plain text, from the configured sender to one recipient.

use std::time::{Duration, SystemTime};

use lettre::{
    address::Envelope,
    message::{
        Mailbox, Message as Builder,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use shared::{address::Address, time::Timestamp};

use crate::notify::{Message, SendError};

/// Says that no person wrote the mail, so that no vacation answers it (RFC 3834).
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// A mail on its way.
pub(super) struct Mail {
    /// Sender and recipient, with domains in ASCII.
    pub(super) envelope: Envelope,
    /// Headers and text.
    pub(super) content: Vec<u8>,
}

impl Mail {
    /// Makes the mail of a message. Its `Message-ID` is the message's id, so that one that is sent twice can be recognized.
    ///
    /// # Errors
    /// Fails when the recipient is no address that mail can be sent to.
    pub(super) fn compose(message: &Message, from: &Mailbox, now: Timestamp) -> Result<Self, SendError> {
        let refused = || SendError::Refused("the recipient is no e-mail address".to_owned());
        let Address::Email(to) = &message.to else { return Err(refused()) };
        let to = recipient(to).ok_or_else(refused)?;
        let since_1970 = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
        let automatic = HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned());
        let mail = Builder::builder()
            .from(from.clone())
            .to(Mailbox::new(None, to))
            .subject(one_line(&message.subject))
            .message_id(Some(format!("<{}@{}>", message.id, from.email.domain())))
            .date(SystemTime::UNIX_EPOCH + since_1970)
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN)
            .body(message.text.clone())
            .map_err(|error| SendError::Refused(format!("the mail cannot be made: {error}")))?;
        Ok(Self { envelope: mail.envelope().clone(), content: mail.formatted() })
    }
}

/// Reads an address, whose domain is returned in ASCII (RFC 5891): not every server knows another form.
fn recipient(text: &str) -> Option<lettre::Address> {
    let (user, domain) = text.rsplit_once('@').filter(|_| !text.contains(char::is_control))?;
    lettre::Address::new(user, idna::domain_to_ascii(domain).ok()?).ok()
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use shared::id::Id;

    use super::*;
    use crate::notify::Purpose;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_007);

    fn message(to: &str, subject: &str, text: &str) -> Message {
        Message {
            id: Id::from_bytes([0x42; 16]),
            to: Address::Email(to.to_owned()),
            purpose: Purpose::Login,
            subject: subject.to_owned(),
            text: text.to_owned(),
            code: None,
            link: None,
            token: None,
        }
    }

    fn compose(to: &str, subject: &str, text: &str) -> Result<Mail, SendError> {
        Mail::compose(&message(to, subject, text), &"EdgeChat <no-reply@example.com>".parse().unwrap(), NOW)
    }

    fn headers(mail: &Mail) -> Vec<String> {
        let content = String::from_utf8(mail.content.clone()).unwrap();
        let (head, _) = content.split_once("\r\n\r\n").unwrap();
        head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn mail_has_the_headers_of_its_message() {
        let mail = compose("ada@example.com", "Chatty: your code", "It is 123456.\n").unwrap();
        let expected = [
            "From: EdgeChat <no-reply@example.com>",
            "To: ada@example.com",
            "Subject: Chatty: your code",
            "Message-ID: <42424242-4242-4242-4242-424242424242@example.com>",
            "Date: Sat, 21 Nov 2026 09:30:00 +0000",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 7bit",
        ];
        assert_eq!(headers(&mail), expected);
        assert!(mail.content.ends_with(b"\r\n\r\nIt is 123456.\r\n"));
    }

    #[test]
    fn message_sent_again_has_the_same_message_id() {
        let ids = [0, 60_000].map(|later| {
            let message = message("ada@example.com", "a", "b");
            let from = "no-reply@example.com".parse().unwrap();
            headers(&Mail::compose(&message, &from, NOW.plus_millis(later)).unwrap())[3].clone()
        });
        assert_eq!(ids[0], ids[1]);
    }

    #[rstest]
    #[case("ada@müller.example", "ada@xn--mller-kva.example")]
    #[case("ada@example.com", "ada@example.com")]
    fn domain_is_ascii_in_envelope_and_header(#[case] to: &str, #[case] expected: &str) {
        let mail = compose(to, "a", "b").unwrap();
        assert_eq!(mail.envelope.to()[0].to_string(), expected);
        assert!(headers(&mail).contains(&format!("To: {expected}")));
    }

    #[rstest]
    #[case("")]
    #[case("ada")]
    #[case("ada@")]
    #[case("ada@example.com\r\nBcc: eve@example.com")]
    #[case("\"a\r\nBcc: eve@example.com\"@example.com")]
    #[case("ada> RCPT TO:<eve@example.com")]
    #[case("ada eve@example.com")]
    #[case("ada@example.com, eve@example.com")]
    fn what_is_no_address_is_refused(#[case] to: &str) {
        assert!(compose(to, "a", "b").is_err_and(|error| error.is_permanent()));
    }

    #[test]
    fn phone_number_is_refused() {
        let to = Address::Phone("+491701234567".to_owned());
        let message = Message { to, ..message("", "a", "b") };
        let from = "no-reply@example.com".parse().unwrap();
        assert!(Mail::compose(&message, &from, NOW).is_err_and(|error| error.is_permanent()));
    }

    proptest! {
        /// Whatever stands in a field, the mail has its own eight headers, is ASCII and ends with its text.
        #[test]
        fn no_field_adds_a_header(
            to in "(ada|\\PC{1,8}|[\\x00-\\x7f]{1,12})@(example\\.com|[\\x00-\\x7f]{1,12})",
            subject in "(\\PC|[\\r\\n\\x00:]){0,80}",
            text in "(\\PC|[\\r\\n.:]){0,200}",
        ) {
            if let Ok(mail) = compose(&to, &subject, &text) {
                let names: Vec<_> = headers(&mail)
                    .iter()
                    .map(|header| header.split_once(": ").map_or(String::new(), |(name, _)| name.to_owned()))
                    .collect();
                let expected = [
                    "From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted", "Content-Type",
                    "Content-Transfer-Encoding",
                ];
                prop_assert_eq!(names, expected);
                prop_assert!(mail.content.is_ascii() || !mail.envelope.to()[0].to_string().is_ascii());
                prop_assert_eq!(mail.envelope.to().len(), 1);
            }
        }
    }
}
