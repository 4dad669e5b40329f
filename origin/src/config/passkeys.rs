//! Passkeys: the domain that they belong to, and the sites and apps that may use them.

use url::Url;

use super::{
    apps::AppsConfig,
    reader::{Reader, UNSET, quoted},
};

/// The most origins.
const MAX_ORIGINS: usize = 32;
const RP_ID: &str = "PASSKEY_RP_ID";
const ORIGINS: &str = "PASSKEY_ORIGINS";
const ANDROID: &str = "android:apk-key-hash:";
/// The characters of a SHA-256 in the alphabet of URLs.
const KEY_HASH_CHARS: usize = 43;

/// The section of passkeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeysConfig {
    /// `PASSKEY_RP_ID`: the domain that passkeys belong to. Those that were made for another one are lost.
    pub rp_id: String,
    /// The origins that may use them: that domain with `https`, those of `PASSKEY_ORIGINS`, and the apps of `ANDROID_APPS`.
    pub origins: Vec<Url>,
}

impl PasskeysConfig {
    /// Reads the section. `None` when passkeys are off, as they are by default.
    pub(super) fn read(reader: &mut Reader<'_>, apps: &AppsConfig) -> Option<Self> {
        let Some(text) = reader.text(RP_ID) else {
            if reader.text(ORIGINS).is_some() {
                let wanted = "it should hold the domain that passkeys belong to, as PASSKEY_ORIGINS is set";
                reader.wrong(RP_ID, UNSET, wanted);
            }
            return None;
        };
        let Some(own) = own_origin(text) else {
            let wanted = "it should hold the domain that passkeys belong to, such as example.com, in small letters, without a \
                          scheme or a port; an address of digits is none";
            reader.wrong(RP_ID, quoted(text), wanted);
            return None;
        };
        let mut origins = vec![own];
        origins.extend(apps.android.iter().filter_map(|app| Url::parse(&app.origin()).ok()));
        origins.extend(configured_origins(reader, text));
        Some(Self { rp_id: text.to_owned(), origins })
    }
}

/// The origin of a domain itself, where also apps for iOS use its passkeys.
fn own_origin(rp_id: &str) -> Option<Url> {
    let url = Url::parse(&format!("https://{rp_id}")).ok()?;
    let is_domain = url.domain() == Some(rp_id) && (rp_id.contains('.') || rp_id == "localhost");
    (is_domain && !rp_id.ends_with('.')).then_some(url)
}

fn configured_origins(reader: &mut Reader<'_>, rp_id: &str) -> Vec<Url> {
    let Some(text) = reader.text(ORIGINS) else { return Vec::new() };
    let items: Vec<_> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.len() > MAX_ORIGINS {
        reader.wrong(ORIGINS, quoted(text), format!("it should hold at most {MAX_ORIGINS} origins"));
        return Vec::new();
    }
    let mut origins = Vec::new();
    for item in items {
        match origin(item, rp_id) {
            Some(origin) => origins.push(origin),
            None => reader.wrong(
                ORIGINS,
                quoted(item),
                format!(
                    "it should hold origins with commas between: https:// with {rp_id} or a name below it and perhaps a port, \
                     http:// for localhost alone, or {ANDROID} with the SHA-256 of an app's certificate in base64url"
                ),
            ),
        }
    }
    origins
}

/// Reads an origin: one of the domain or below it, or an app for Android.
fn origin(text: &str, rp_id: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    if let Some(hash) = text.strip_prefix(ANDROID) {
        let is_hash = hash.len() == KEY_HASH_CHARS
            && hash.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        return is_hash.then_some(url);
    }
    let domain = url.domain()?;
    let is_below = domain.strip_suffix(rp_id).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let is_secure = match url.scheme() {
        "https" => true,
        "http" => domain == "localhost",
        _ => false,
    };
    // The text is the origin and nothing more.
    let is_origin = url.origin().ascii_serialization() == text.trim_end_matches('/');
    (is_below && is_secure && is_origin).then_some(url)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::config::Vars;

    fn read(vars: &[(&str, &str)]) -> (Option<PasskeysConfig>, Vec<String>) {
        let vars: Vars = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let apps = AppsConfig::read(&mut reader);
        let passkeys = PasskeysConfig::read(&mut reader, &apps);
        (passkeys, reader.into_problems().iter().map(ToString::to_string).collect())
    }

    fn origins(vars: &[(&str, &str)]) -> Vec<String> {
        let (passkeys, problems) = read(vars);
        assert_eq!(problems, Vec::<String>::new());
        passkeys.unwrap().origins.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn domain_and_android_apps_are_origins_by_themselves() {
        assert_eq!(read(&[]), (None, vec![]));
        assert_eq!(origins(&[(RP_ID, "example.com")]), ["https://example.com/"]);
        let fingerprint = vec!["ff"; 32].join(":");
        let apps = format!("com.example.chat:{fingerprint}");
        let hash = "__________________________________________8";
        let listed = format!("https://app.example.com, http://localhost:3000,{ANDROID}{}", "A".repeat(43));
        assert_eq!(
            origins(&[(RP_ID, "example.com"), ("ANDROID_APPS", &apps)]),
            ["https://example.com/".to_owned(), format!("{ANDROID}{hash}")]
        );
        let localhost = listed.replace("https://app.example.com, ", "");
        assert_eq!(
            origins(&[(RP_ID, "localhost"), (ORIGINS, &localhost)]),
            [
                "https://localhost/".to_owned(),
                "http://localhost:3000/".to_owned(),
                format!("{ANDROID}{}", "A".repeat(43))
            ]
        );
    }

    #[rstest]
    #[case("https://example.com")]
    #[case("example.com:443")]
    #[case("Example.com")]
    #[case("example.com.")]
    #[case("127.0.0.1")]
    #[case("com")]
    #[case("exa mple.com")]
    fn domain_that_is_none_is_named(#[case] rp_id: &str) {
        let (passkeys, problems) = read(&[(RP_ID, rp_id)]);
        assert!(passkeys.is_none() && problems.len() == 1 && problems[0].starts_with(RP_ID), "{problems:?}");
    }

    #[rstest]
    #[case("https://example.org")]
    #[case("https://badexample.com")]
    #[case("http://example.com")]
    #[case("http://localhost:3000")]
    #[case("https://example.com/path")]
    #[case("https://user@example.com")]
    #[case("android:apk-key-hash:short")]
    #[case("ios:bundle-id:com.example.chat")]
    #[case("*")]
    fn origin_that_cannot_be_is_named(#[case] origin: &str) {
        let (_, problems) =
            read(&[(RP_ID, "example.com"), (ORIGINS, &format!("https://app.example.com,{origin}"))]);
        assert!(problems.len() == 1 && problems[0].starts_with(ORIGINS), "{problems:?}");
        assert!(problems[0].contains(origin), "{problems:?}");
    }

    #[test]
    fn origins_without_a_domain_ask_for_it() {
        let (_, problems) = read(&[(ORIGINS, "https://example.com")]);
        assert!(problems.len() == 1 && problems[0].starts_with("PASSKEY_RP_ID: not set"), "{problems:?}");
    }
}
