//! The kind of program behind a request, from its `User-Agent`. A guess, for people to recognize a session by.

use crate::api::account::Platform;

/// Returns the platform that a `User-Agent` tells of; `None` where it tells of none, such as that of a library which is the same
/// everywhere.
pub fn platform(user_agent: &str) -> Option<Platform> {
    let text = user_agent.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let is_apple_phone = has(&["iphone", "ipad", "ipod", "(ios", "; ios", " ios/"]);
    if text.starts_with("mozilla/") {
        return Some(match () {
            // Apps that show a page within themselves.
            () if has(&["; wv)"]) => Platform::Android,
            () if is_apple_phone && !has(&["safari/"]) => Platform::Ios,
            () if has(&["electron/", "tauri/"]) => Platform::Desktop,
            () => Platform::Web,
        });
    }
    if is_apple_phone {
        return Some(Platform::Ios);
    }
    if has(&["android", "okhttp/", "dalvik/"]) {
        return Some(Platform::Android);
    }
    if has(&["windows", "macintosh", "mac os x", "macos", "linux", "x11", "(x86_64)"]) {
        return Some(Platform::Desktop);
    }
    // Apple's own library sends this; programs on a Mac have said so above, as far as they do.
    has(&["cfnetwork/", "darwin/"]).then_some(Platform::Ios)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("EdgeChat/12 CFNetwork/1494.0.7 Darwin/23.4.0", Some(Platform::Ios))]
    #[case("EdgeChat/1.0 (com.example.chat; build:1; iOS 18.1.0) Alamofire/5.9.1", Some(Platform::Ios))]
    #[case("EdgeChat/1.0 (iPhone; iOS 18.1; Scale/3.00)", Some(Platform::Ios))]
    #[case(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        Some(Platform::Ios)
    )]
    #[case(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        Some(Platform::Web)
    )]
    #[case("EdgeChat/7 CFNetwork/1240.0.4 Darwin/20.6.0 (x86_64)", Some(Platform::Desktop))]
    #[case("EdgeChat/1.0 (com.example.chat; build:1; macOS 15.1.0) Alamofire/5.9.1", Some(Platform::Desktop))]
    #[case("okhttp/5.3.0", Some(Platform::Android))]
    #[case("Dalvik/2.1.0 (Linux; U; Android 16; Pixel 10 Build/BP1A)", Some(Platform::Android))]
    #[case("EdgeChat/1.0 (Android 16; Pixel 10)", Some(Platform::Android))]
    #[case(
        "Mozilla/5.0 (Linux; Android 16; Pixel 10; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/140.0.0.0 Mobile Safari/537.36",
        Some(Platform::Android)
    )]
    #[case(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
        Some(Platform::Web)
    )]
    #[case("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Some(Platform::Web))]
    #[case(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        Some(Platform::Web)
    )]
    #[case(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) EdgeChat/1.0 Chrome/138.0 Electron/37.2 Safari/537.36",
        Some(Platform::Desktop)
    )]
    #[case("EdgeChat/1.0 (Windows NT 10.0)", Some(Platform::Desktop))]
    #[case("EdgeChat/1.0 (X11; Linux x86_64)", Some(Platform::Desktop))]
    #[case("Dart/3.9 (dart:io)", None)]
    #[case("curl/8.14.1", None)]
    #[case("python-httpx/0.28.1", None)]
    #[case("Go-http-client/1.1", None)]
    #[case("axios/1.12.0", None)]
    #[case("Java-http-client/21.0.2", None)]
    #[case("", None)]
    fn platform_follows_from_the_user_agent(#[case] user_agent: &str, #[case] expected: Option<Platform>) {
        assert_eq!(platform(user_agent), expected);
    }

    proptest! {
        #[test]
        fn any_user_agent_is_read(text in "\\PC{0,200}") {
            let _ = platform(&text);
        }
    }
}
