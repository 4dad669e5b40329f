//! Changes of what users say about themselves.

use garde::Validate;
use icu_locale_core::Locale;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::{MAX_NAME_CHARS, no_controls};
use crate::api::body::double_option;

/// The most bytes of the address of a picture.
pub const MAX_AVATAR_URL_BYTES: usize = 2_048;
/// The most characters of a language tag.
pub const MAX_LOCALE_CHARS: usize = 35;
/// The most characters of the name of a time zone; the longest that is known has 32.
pub const MAX_TIMEZONE_CHARS: usize = 64;

/// `PATCH users/me`: only what is named changes; `null` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, Validate)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateProfile {
    /// The name by which the user wants to be called: 1 to 100 characters, no control characters.
    #[serde(default, deserialize_with = "double_option", skip_serializing_if = "Option::is_none")]
    #[garde(inner(inner(length(chars, min = 1, max = MAX_NAME_CHARS), custom(no_controls))))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub display_name: Option<Option<String>>,
    /// The address of a picture: `https`, without a user's name or password, at most 2048 bytes.
    #[serde(default, deserialize_with = "double_option", skip_serializing_if = "Option::is_none")]
    #[garde(inner(inner(custom(picture_address))))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub avatar_url: Option<Option<String>>,
    /// A BCP 47 language tag, at most 35 characters; it is kept in canonical form, such as `de-CH`.
    #[serde(default, deserialize_with = "double_option", skip_serializing_if = "Option::is_none")]
    #[garde(inner(inner(custom(language_tag))))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub locale: Option<Option<String>>,
    /// The name of a time zone in the IANA database; it is kept as the database spells it, such as `Europe/Zurich`.
    #[serde(default, deserialize_with = "double_option", skip_serializing_if = "Option::is_none")]
    #[garde(inner(inner(length(chars, min = 1, max = MAX_TIMEZONE_CHARS), custom(no_controls))))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub timezone: Option<Option<String>>,
}

impl UpdateProfile {
    /// Returns whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns the canonical form of a language tag: `DE-ch` is `de-CH`. `None` when it is none that Unicode's locales have (UTS 35,
/// as in `Intl.Locale`), or longer than [`MAX_LOCALE_CHARS`].
pub fn canonical_locale(tag: &str) -> Option<String> {
    let is_tag = tag.len() <= MAX_LOCALE_CHARS && !tag.contains('_');
    let locale = Locale::try_from_str(Some(tag).filter(|_| is_tag)?).ok()?.to_string();
    (locale.len() <= MAX_LOCALE_CHARS).then_some(locale)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
fn language_tag(value: &str, _context: &()) -> garde::Result {
    match canonical_locale(value) {
        Some(_) => Ok(()),
        None => Err(garde::Error::new("is not a language tag such as de-CH")),
    }
}

/// Checks the address of a picture. Other users' apps may load it: it must tell nobody a password, and be safe on its way.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "garde calls custom rules like this")]
fn picture_address(value: &str, _context: &()) -> garde::Result {
    if value.len() > MAX_AVATAR_URL_BYTES {
        return Err(garde::Error::new(format!("is longer than {MAX_AVATAR_URL_BYTES} bytes")));
    }
    // Parsers differ about these.
    let is_plain = !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\');
    let url = Url::parse(value).ok().filter(|_| is_plain);
    let url = url.ok_or_else(|| garde::Error::new("is not a URL such as https://example.com/ada.png"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(garde::Error::new("must not have a user name or a password"));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        _ => Err(garde::Error::new("must begin with https://")),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::api::body::parse;

    #[rstest]
    #[case("de-ch", Some("de-CH"))]
    #[case("EN", Some("en"))]
    #[case("zh-hans-cn", Some("zh-Hans-CN"))]
    #[case("sr-Latn-RS", Some("sr-Latn-RS"))]
    #[case("es-419", Some("es-419"))]
    #[case("de-CH-1996", Some("de-CH-1996"))]
    #[case("de-u-CA-gregory", Some("de-u-ca-gregory"))]
    #[case("und", Some("und"))]
    #[case("en_US", None)]
    #[case("", None)]
    #[case("english", None)]
    #[case("e", None)]
    #[case("en-", None)]
    #[case("en-US ", None)]
    #[case("dé", None)]
    #[case("de-u-ca-gregory-co-phonebk-nu-latn-x", None)]
    fn locale_is_kept_in_canonical_form(#[case] tag: &str, #[case] expected: Option<&str>) {
        assert_eq!(canonical_locale(tag).as_deref(), expected);
    }

    #[rstest]
    #[case("https://example.com/ada.png", true)]
    #[case("https://müller.example/ä.png?size=2#top", true)]
    #[case("https://[2001:db8::1]:8443/a", true)]
    #[case("http://localhost:8080/a", true)]
    #[case("http://127.0.0.1/a", true)]
    #[case("http://[::1]/a", true)]
    #[case("http://example.com/a", false)]
    #[case("http://localhost.example.com/a", false)]
    #[case("https://ada@example.com/a", false)]
    #[case("https://ada:secret@example.com/a", false)]
    #[case("https://:secret@example.com/a", false)]
    #[case("https://example.com/a b", false)]
    #[case(" https://example.com/a", false)]
    #[case("https:\\\\example.com/a", false)]
    #[case("https://", false)]
    #[case("javascript:alert(1)", false)]
    #[case("data:image/png;base64,AAAA", false)]
    #[case("/ada.png", false)]
    #[case("", false)]
    fn picture_is_at_a_safe_address(#[case] url: &str, #[case] good: bool) {
        assert_eq!(picture_address(url, &()).is_ok(), good);
    }

    #[test]
    fn fields_that_are_absent_stay_and_null_clears() {
        let update: UpdateProfile = parse(br#"{"display_name": null, "other": 1}"#).unwrap();
        assert_eq!(update, UpdateProfile { display_name: Some(None), ..UpdateProfile::default() });
        assert!(parse::<UpdateProfile>(b"{}").unwrap().is_empty());
        let long = format!("https://example.com/{}", "a".repeat(MAX_AVATAR_URL_BYTES));
        for (field, value) in [
            ("display_name", serde_json::json!("")),
            ("display_name", "a\u{7}b".into()),
            ("display_name", "a".repeat(101).into()),
            ("display_name", 7.into()),
            ("avatar_url", long.into()),
            ("locale", "en_US".into()),
            ("locale", false.into()),
            ("timezone", "".into()),
            ("timezone", "a".repeat(65).into()),
        ] {
            let body = serde_json::json!({ field: value }).to_string();
            let error = parse::<UpdateProfile>(body.as_bytes()).unwrap_err();
            assert_eq!(error.errors.iter().map(|error| &*error.field).collect::<Vec<_>>(), [field], "{body}");
        }
    }

    proptest! {
        #[test]
        fn canonical_locale_is_canonical_and_any_text_is_read(tag in "[A-Za-z0-9-]{0,40}|\\PC{0,40}") {
            if let Some(locale) = canonical_locale(&tag) {
                prop_assert!(locale.eq_ignore_ascii_case(&tag) || locale.len() <= MAX_LOCALE_CHARS);
                prop_assert_eq!(canonical_locale(&locale), Some(locale));
            }
        }

        #[test]
        fn any_text_is_checked_as_an_address(url in "https?://\\PC{0,60}|\\PC{0,60}") {
            let _ = picture_address(&url, &());
        }
    }
}
