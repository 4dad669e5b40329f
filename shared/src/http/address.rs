//! Addresses of requests, as HTTP clients send them.

/// Returns whether an address is surely in the form that the URL standard's parser gives it, so that nobody need parse it: a plain
/// host, and a path and a query of characters that stand for themselves. Of another, nothing is known.
pub fn is_normalized(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return false;
    };
    let Some((host, rest)) = rest.split_once('/') else {
        return false;
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    is_plain_host(host)
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte))
        && query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=&%+".contains(&byte))
}

/// A name whose last label begins with a letter, or the loopback address; with a port or without. The standard's parser refuses
/// no such host.
fn is_plain_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_name = name.bytes().all(is_plain) && last.starts_with(|first: char| first.is_ascii_lowercase());
    ((is_name && !name.contains("xn--")) || name == "127.0.0.1")
        && port.len() <= 5
        && (port.is_empty() || port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use url::Url;

    use super::*;

    #[rstest]
    #[case::message("https://api.example.com/api/v1/chat/conversations/0199-7/messages", true)]
    #[case::query("http://127.0.0.1:8787/api/v1/chat/turns/1/events?after=3&x=a%20b", true)]
    #[case::dots("https://api.example.com/a/../b", false)]
    #[case::encoded("https://api.example.com/%61", false)]
    #[case::space("https://api.example.com/a b", false)]
    #[case::upper_host("https://API.example.com/", false)]
    #[case::punycode("https://xn--a.example.com/", false)]
    #[case::port("https://api.example.com:99999/", false)]
    #[case::fragment("https://api.example.com/a#b", false)]
    #[case::no_path("https://api.example.com", false)]
    #[case::no_host("https:///a", false)]
    fn address_is_normalized_when_nothing_in_it_would_change(#[case] url: &str, #[case] expected: bool) {
        assert_eq!(is_normalized(url), expected);
    }

    proptest! {
        #[test]
        fn parser_leaves_normalized_path_and_query_as_they_are(
            url in "https?://([a-zA-Z0-9.:-]{0,9}|[a-z0-9]{0,3}\\.[a-z][a-z0-9-]{0,4})(:[0-9]{0,6})?/[a-z0-9/._%-]{0,9}(\\?[a-z0-9=&%+.#'-]{0,9})?",
        ) {
            if is_normalized(&url) {
                let parsed = Url::parse(&url);
                prop_assert!(parsed.is_ok(), "{parsed:?}");
                let parsed = parsed.unwrap();
                let (_, path_and_query) = url.split_once("://").unwrap().1.split_once('/').unwrap();
                prop_assert_eq!(&parsed[url::Position::BeforePath..], format!("/{path_and_query}"));
            }
        }
    }
}
