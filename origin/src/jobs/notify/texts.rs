//! The words of messages, in English. A mail with a code has it in its subject, which telephones show in their notifications. An SMS
//! is one part: at most 160 characters of the alphabet of GSM 03.38.

use shared::{
    address::Address,
    api::account::codes::CodePurpose,
    id::Id,
    time::{SECOND_MS, Timestamp},
};

use super::Notice;
use crate::{
    notify::{Channel, Message, Purpose},
    one_time_secrets::OneTimeSecrets,
};

/// The most characters of the app's name in an SMS.
const MAX_SMS_NAME_CHARS: usize = 30;
/// The characters of GSM 03.38 besides letters and digits of ASCII, without those that count twice.
const GSM_OTHERS: &str = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";

/// Writes messages of one app.
#[derive(Clone, Debug)]
pub struct Texts {
    /// The app's name.
    pub app_name: String,
    /// The address of links, without a slash at the end.
    pub public_url: String,
}

/// The secrets that a message may have.
pub(super) struct Secrets<'a> {
    /// Makes codes and tokens of ids.
    pub(super) one_time: &'a OneTimeSecrets,
    /// The token of a link that confirms the recipient's address.
    pub(super) email_link: Option<String>,
}

/// The words of a message, and the secrets in it.
struct Words {
    purpose: Purpose,
    subject: String,
    text: String,
    code: Option<String>,
    link: Option<String>,
    token: Option<String>,
}

impl Texts {
    /// Writes the message of a notice.
    pub(super) fn message(
        &self,
        id: Id,
        to: Address,
        notice: &Notice,
        secrets: &Secrets<'_>,
        now: Timestamp,
    ) -> Message {
        let words = match notice {
            Notice::RefreshTokenReused { at, .. } => self.refresh_token_reused(*at),
            Notice::PasswordChanged { at, .. } => self.password_changed(*at),
            Notice::EmailChanged { at, .. } => self.email_changed(*at),
            Notice::DeletionRequested { at, deletes_at, .. } => self.deletion_requested(*at, *deletes_at),
            Notice::OneTimeCode { code_id, purpose, expires_at, .. } => {
                let time_left = time_left(*expires_at, now);
                let words =
                    self.code(Channel::of(&to), *purpose, secrets.one_time.code(*code_id), &time_left);
                match &secrets.email_link {
                    Some(token) => self.with_email_link(words, token),
                    None => words,
                }
            }
            Notice::PasswordReset { reset_id, expires_at, .. } => {
                self.password_reset(secrets.one_time.token(*reset_id), &time_left(*expires_at, now))
            }
            Notice::EmailVerification { expires_at, .. } => self.email_verification(
                secrets.email_link.clone().unwrap_or_default(),
                &time_left(*expires_at, now),
            ),
        };
        let Words { purpose, subject, text, code, link, token } = words;
        Message { id, to, purpose, subject, text, code, link, token }
    }

    fn code(&self, channel: Channel, purpose: CodePurpose, code: String, time_left: &str) -> Words {
        let app = &self.app_name;
        let use_of_it = match purpose {
            CodePurpose::Login => "to sign in",
            CodePurpose::Verify => match channel {
                Channel::Email => "to confirm this address",
                Channel::Sms => "to confirm this number",
            },
            CodePurpose::Reset => "to choose a new password",
            CodePurpose::Delete => "to delete your account",
        };
        let (subject, text) = match channel {
            Channel::Email => (
                format!("{code} is your {app} code"),
                format!(
                    "Your {app} code {use_of_it} is {code}. It can be used once, in the next {time_left}.\n\nTell it to \
                     nobody: {app} never asks for it. If you did not ask for it, ignore this mail.\n"
                ),
            ),
            Channel::Sms => (
                String::new(),
                format!(
                    "{code} is your {}code {use_of_it}. It expires in {time_left}. Tell it to nobody.",
                    sms_name(app)
                ),
            ),
        };
        Words { purpose: purpose.into(), subject, text, code: Some(code), link: None, token: None }
    }

    fn password_reset(&self, token: String, time_left: &str) -> Words {
        let app = &self.app_name;
        let link = format!("{}/reset-password?token={token}", self.public_url);
        Words {
            purpose: Purpose::Reset,
            subject: format!("{app}: choose a new password"),
            text: format!(
                "Somebody asked for a new password of your {app} account. To choose one, open this link in the next \
                 {time_left}; it works once:\n\n{link}\n\nWhere the app asks for a token, it is:\n\n{token}\n\nIf you did \
                 not ask for it, ignore this mail; your password stays as it is.\n"
            ),
            code: None,
            link: Some(link),
            token: Some(token),
        }
    }

    fn email_verification(&self, token: String, time_left: &str) -> Words {
        let app = &self.app_name;
        let link = self.email_link(&token);
        Words {
            purpose: Purpose::Verify,
            subject: format!("{app}: confirm your address"),
            text: format!(
                "Welcome to {app}. To confirm that this is your address, open this link in the next {time_left}:\n\n{link}\n\n\
                 If you did not register with {app}, do not confirm: somebody else typed your address.\n"
            ),
            code: None,
            link: Some(link),
            token: Some(token),
        }
    }

    /// Adds the link that does what the code does.
    fn with_email_link(&self, words: Words, token: &str) -> Words {
        let link = self.email_link(token);
        let text = format!("{}\nOr open this link in the next 24 hours:\n\n{link}\n", words.text);
        Words { text, link: Some(link), token: Some(token.to_owned()), ..words }
    }

    fn email_link(&self, token: &str) -> String {
        format!("{}/verify-email?token={token}", self.public_url)
    }

    fn email_changed(&self, at: Timestamp) -> Words {
        let app = &self.app_name;
        notice(
            Purpose::EmailChanged,
            format!("{app}: your address was changed"),
            format!(
                "Your {app} account has another e-mail address since {at}, and this one signs nobody in any more.\n\nIf it was \
                 not you, write to those who run {app}.\n"
            ),
        )
    }

    fn deletion_requested(&self, at: Timestamp, deletes_at: Timestamp) -> Words {
        let app = &self.app_name;
        let undone = if deletes_at > at {
            format!(
                "It is deleted for ever at {deletes_at}, with everything in it. Until then you can keep it: sign in again.\n\nIf it was \
                 not you, sign in now and choose a new password."
            )
        } else {
            "It is being deleted for ever now, with everything in it.".to_owned()
        };
        notice(
            Purpose::DeletionRequested,
            format!("{app}: your account will be deleted"),
            format!(
                "At {at}, the deletion of your {app} account was asked for, and its sessions were ended. {undone}\n"
            ),
        )
    }

    fn password_changed(&self, at: Timestamp) -> Words {
        let app = &self.app_name;
        notice(
            Purpose::PasswordChanged,
            format!("{app}: your password was changed"),
            format!(
                "At {at}, the password of your {app} account was changed, and your other sessions were ended.\n\nIf it was \
                 not you, reset the password now: choose \"forgot password\" where you sign in.\n"
            ),
        )
    }

    fn refresh_token_reused(&self, at: Timestamp) -> Words {
        let app = &self.app_name;
        notice(
            Purpose::SessionEnded,
            format!("{app}: a session was ended"),
            format!(
                "At {at}, a sign-in of your {app} account was used that had been replaced by a newer one. That happens when \
                 somebody has a copy of it, so its session was ended.\n\nSign in again on your device. If it keeps \
                 happening, choose a new password.\n"
            ),
        )
    }
}

/// Words without a secret.
fn notice(purpose: Purpose, subject: String, text: String) -> Words {
    Words { purpose, subject, text, code: None, link: None, token: None }
}

/// Returns the time until then, in words: whole minutes, one at least, or hours.
fn time_left(until: Timestamp, now: Timestamp) -> String {
    const MINUTE_MS: i64 = 60 * SECOND_MS;
    let minutes = ((until.millis_since(now) + MINUTE_MS / 2) / MINUTE_MS).max(1);
    match minutes {
        1 => "minute".to_owned(),
        2..120 => format!("{minutes} minutes"),
        _ => format!("{} hours", minutes / 60),
    }
}

/// Returns the app's name with a space behind it, as far as an SMS can show it.
fn sms_name(app_name: &str) -> String {
    let name: String = app_name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || GSM_OTHERS.contains(*c))
        .take(MAX_SMS_NAME_CHARS)
        .collect();
    let name = name.trim();
    if name.is_empty() { String::new() } else { format!("{name} ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_007);

    fn write(app_name: &str, to: Address, notice: &Notice) -> Message {
        let texts =
            Texts { app_name: app_name.to_owned(), public_url: "https://chat.example.com".to_owned() };
        let secrets = OneTimeSecrets::new("0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c").unwrap();
        let email_link = matches!(notice, Notice::EmailVerification { .. }).then(|| "a-token".to_owned());
        let secrets = Secrets { one_time: &secrets, email_link };
        texts.message(Id::from_bytes([9; 16]), to, notice, &secrets, NOW)
    }

    fn phone() -> Address {
        Address::Phone("+491701234567".to_owned())
    }

    fn email() -> Address {
        Address::Email("ada@example.com".to_owned())
    }

    fn code(to: &Address, purpose: CodePurpose, minutes: i64) -> Notice {
        let expires_at = NOW.plus_millis(minutes * 60 * SECOND_MS - 40);
        Notice::OneTimeCode { code_id: Id::from_bytes([1; 16]), to: to.clone(), purpose, expires_at }
    }

    #[test]
    fn sms_has_the_code_first() {
        let message = write("Chatty", phone(), &code(&phone(), CodePurpose::Login, 5));
        let code = message.code.unwrap();
        let text =
            format!("{code} is your Chatty code to sign in. It expires in 5 minutes. Tell it to nobody.");
        assert_eq!((message.text, message.subject), (text, String::new()));
        assert_eq!((message.purpose, message.link, message.token), (Purpose::Login, None, None));
    }

    #[test]
    fn mail_has_the_code_in_subject_and_text() {
        let message = write("Chatty", email(), &code(&email(), CodePurpose::Verify, 5));
        let code = message.code.unwrap();
        assert_eq!(message.subject, format!("{code} is your Chatty code"));
        let text = format!(
            "Your Chatty code to confirm this address is {code}. It can be used once, in the next 5 minutes."
        );
        assert!(message.text.starts_with(&text), "{}", message.text);
        assert_eq!(message.purpose, Purpose::Verify);
    }

    #[test]
    fn reset_has_link_and_token() {
        let expires_at = NOW.plus_millis(60 * 60 * SECOND_MS);
        let notice = Notice::PasswordReset { reset_id: Id::from_bytes([1; 16]), to: email(), expires_at };
        let message = write("Chatty", email(), &notice);
        let (link, token) = (message.link.unwrap(), message.token.unwrap());
        assert_eq!(link, format!("https://chat.example.com/reset-password?token={token}"));
        for line in [&link, &token] {
            assert!(message.text.lines().any(|found| found == *line), "{}", message.text);
        }
        assert!(message.text.contains("in the next 60 minutes") && !message.subject.contains(&token));
        assert_eq!((message.purpose, message.code), (Purpose::Reset, None));
    }

    #[test]
    fn new_user_gets_link_to_confirm_their_address() {
        let expires_at = NOW.plus_millis(24 * 60 * 60 * SECOND_MS);
        let user_id = Id::from_bytes([2; 16]);
        let message =
            write("Chatty", email(), &Notice::EmailVerification { user_id, to: email(), expires_at });
        let link = "https://chat.example.com/verify-email?token=a-token";
        assert_eq!((message.link.as_deref(), message.token.as_deref()), (Some(link), Some("a-token")));
        assert!(message.text.lines().any(|line| line == link) && message.text.contains("24 hours"));
        assert_eq!((message.purpose, message.code), (Purpose::Verify, None));
    }

    #[test]
    fn notices_name_app_and_time() {
        let user_id = Id::from_bytes([2; 16]);
        for (notice, purpose) in [
            (Notice::PasswordChanged { user_id, at: NOW }, Purpose::PasswordChanged),
            (Notice::RefreshTokenReused { user_id, at: NOW }, Purpose::SessionEnded),
        ] {
            let message = write("Chatty", email(), &notice);
            assert!(message.subject.starts_with("Chatty: ") && message.text.contains(&NOW.to_string()));
            assert_eq!((message.purpose, message.code, message.link), (purpose, None, None));
        }
    }

    #[rstest]
    #[case(5 * 60_000, "5 minutes")]
    #[case(5 * 60_000 - 40, "5 minutes")]
    #[case(4 * 60_000 + 20_000, "4 minutes")]
    #[case(100_000, "2 minutes")]
    #[case(1, "minute")]
    #[case(119 * 60_000, "119 minutes")]
    #[case(24 * 60 * 60_000, "24 hours")]
    fn time_left_is_told_in_words(#[case] ms: i64, #[case] words: &str) {
        assert_eq!(time_left(NOW.plus_millis(ms), NOW), words);
    }

    #[rstest]
    #[case("EdgeChat", "EdgeChat ")]
    #[case("Кот", "")]
    #[case("Café [beta]", "Café beta ")]
    #[case("a\nb", "ab ")]
    fn name_in_an_sms_is_in_its_alphabet(#[case] app_name: &str, #[case] expected: &str) {
        assert_eq!(sms_name(app_name), expected);
    }

    proptest! {
        #[test]
        fn sms_is_one_part(app_name in ".{0,60}", minutes in 1i64..1_500) {
            for purpose in [CodePurpose::Login, CodePurpose::Verify, CodePurpose::Reset, CodePurpose::Delete] {
                let text = write(&app_name, phone(), &code(&phone(), purpose, minutes)).text;
                prop_assert!(text.chars().count() <= 160, "{text}");
                prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || GSM_OTHERS.contains(c)), "{text}");
            }
        }
    }
}
