//! The apps that share the server's sign-ins: what iOS and Android look up at the server's own address.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::reader::{Reader, quoted};

/// The most apps of each kind.
const MAX_APPS: usize = 32;
/// The most characters of the name of an app.
const MAX_NAME_CHARS: usize = 255;
const APPLE: &str = "APPLE_APP_IDS";
const ANDROID: &str = "ANDROID_APPS";

/// The section of apps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppsConfig {
    /// `APPLE_APP_IDS`, default none: team and bundle, such as `A1B2C3D4E5.com.example.chat`.
    pub apple_ids: Vec<String>,
    /// `ANDROID_APPS`, default none.
    pub android: Vec<AndroidApp>,
}

/// An app for Android, with one of the certificates that it is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AndroidApp {
    /// Its name, such as `com.example.chat`.
    pub package: String,
    /// The SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
}

impl AppsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let apple = "it should hold up to 32 app ids, each the team's id and the bundle's, such as A1B2C3D4E5.com.example.chat, \
                     with commas between";
        let android = "it should hold up to 32 apps, each its package and the SHA-256 of a certificate that signs it, such as \
                       com.example.chat:1A:2B:… with 32 bytes, with commas between; an app that is signed with two \
                       certificates is there twice";
        Self {
            apple_ids: list(reader, APPLE, apple, apple_id),
            android: list(reader, ANDROID, android, android_app),
        }
    }
}

/// Reads a list of different items with commas between.
fn list<T: PartialEq>(
    reader: &mut Reader<'_>,
    variable: &'static str,
    wanted: &str,
    parse: fn(&str) -> Option<T>,
) -> Vec<T> {
    let Some(text) = reader.text(variable) else { return Vec::new() };
    let mut apps = Vec::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let Some(app) = parse(item).filter(|app| apps.len() < MAX_APPS && !apps.contains(app)) else {
            reader.wrong(variable, quoted(item), wanted);
            return Vec::new();
        };
        apps.push(app);
    }
    apps
}

fn apple_id(text: &str) -> Option<String> {
    let (team, bundle) = text.split_once('.')?;
    let is_team = team.len() == 10 && team.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let is_bundle = bundle.len() <= MAX_NAME_CHARS
        && bundle
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    (is_team && is_bundle).then(|| text.to_owned())
}

fn android_app(text: &str) -> Option<AndroidApp> {
    let (package, fingerprint) = text.split_once(':')?;
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let is_package =
        package.len() <= MAX_NAME_CHARS && package.contains('.') && package.split('.').all(is_part);
    let fingerprint = read_fingerprint(fingerprint)?;
    is_package.then(|| AndroidApp { package: package.to_owned(), fingerprint })
}

/// Reads 32 bytes as `keytool` prints them.
fn read_fingerprint(text: &str) -> Option<[u8; 32]> {
    let bytes = text.split(':').map(|pair| {
        let is_pair = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
        u8::from_str_radix(pair, 16).ok().filter(|_| is_pair)
    });
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

impl AndroidApp {
    /// Returns the fingerprint as Digital Asset Links have it.
    pub fn fingerprint_text(&self) -> String {
        self.fingerprint.map(|byte| format!("{byte:02X}")).join(":")
    }

    /// Returns the origin that the app's passkeys are made for.
    pub fn origin(&self) -> String {
        format!("android:apk-key-hash:{}", URL_SAFE_NO_PAD.encode(self.fingerprint))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::config::Vars;

    fn fingerprint() -> String {
        (0..32).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    }

    /// Returns the section, and the variables that are wrong.
    fn read(vars: &[(&str, &str)]) -> (AppsConfig, Vec<&'static str>) {
        let vars: Vars = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let apps = AppsConfig::read(&mut reader);
        (apps, reader.into_problems().into_iter().map(|problem| problem.variable).collect())
    }

    #[test]
    fn apps_are_read_with_their_fingerprints() {
        let android = format!("com.example.chat:{}, com.example.chat_2:{}", fingerprint(), fingerprint());
        let (apps, wrong) = read(&[(APPLE, "A1B2C3D4E5.com.example.chat-app,"), (ANDROID, &android)]);
        assert_eq!(wrong, Vec::<&str>::new());
        assert_eq!(apps.apple_ids, ["A1B2C3D4E5.com.example.chat-app"]);
        let packages: Vec<_> = apps.android.iter().map(|app| app.package.as_str()).collect();
        assert_eq!(packages, ["com.example.chat", "com.example.chat_2"]);
        assert_eq!(apps.android[0].fingerprint_text(), fingerprint().to_uppercase());
        assert_eq!(
            apps.android[0].origin(),
            "android:apk-key-hash:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
        );
    }

    #[rstest]
    #[case(APPLE, "com.example.chat")]
    #[case(APPLE, "a1b2c3d4e5.com.example.chat")]
    #[case(APPLE, "A1B2C3D4E5.")]
    #[case(APPLE, "A1B2C3D4E5.com..chat")]
    #[case(APPLE, "A1B2C3D4E5.com.example.chat,A1B2C3D4E5.com.example.chat")]
    #[case(ANDROID, "com.example.chat")]
    #[case(ANDROID, "com.example.chat:00:01")]
    #[case(ANDROID, "chat:FP")]
    #[case(ANDROID, "com.1example:FP")]
    #[case(ANDROID, "com.example.chat:+0:FP")]
    fn app_that_cannot_be_is_named(#[case] variable: &'static str, #[case] text: &str) {
        let text = text.replace("FP", &fingerprint());
        assert_eq!(read(&[(variable, &text)]), (AppsConfig::default(), vec![variable]));
    }
}
