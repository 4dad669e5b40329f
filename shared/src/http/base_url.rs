//! Addresses of other servers in the configuration.

use core::net::{IpAddr, Ipv6Addr};

/// Reads the address of a server, and returns it without a slash at the end. In production it must be `https`, but for a host
/// of this machine or of a private network: loopback and private addresses, names without a dot such as a container's, and
/// names below `.internal`, `.local` and `.localhost`.
///
/// Errors: a sentence of what it should be.
pub fn parse(text: &str, is_production: bool) -> Result<String, String> {
    const FORM: &str = "it should be a URL such as https://api.example.com";
    let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let host = host(authority).ok_or(FORM)?;
    let is_plain =
        !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\'));
    match scheme {
        "https" | "http" if !is_plain => Err(FORM.to_owned()),
        "https" => Ok(text.trim_end_matches('/').to_owned()),
        "http" if !is_production || is_private(host) => Ok(text.trim_end_matches('/').to_owned()),
        "http" => {
            Err("it should begin with https:// in production, unless its host is on a private network"
                .to_owned())
        }
        _ => Err(FORM.to_owned()),
    }
}

/// The host of `host`, `host:port` or `[v6]:port`; `None` when it is none, or comes with a user's name.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => {
            let _: Ipv6Addr = host.parse().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_host = !host.is_empty() && (host.contains(':') || host.bytes().all(is_name));
    (is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))).then_some(host)
}

fn is_private(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => {
            !host.contains('.')
                || [".internal", ".local", ".localhost"].iter().any(|suffix| host.ends_with(suffix))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://api.example.com", true)]
    #[case("https://api.example.com:8443/base", true)]
    #[case("http://origin:8080", true)]
    #[case("http://localhost:8080", true)]
    #[case("http://127.0.0.1:8080", true)]
    #[case("http://10.1.2.3", true)]
    #[case("http://[::1]:8080", true)]
    #[case("http://[fd00::1]", true)]
    #[case("http://origin.internal", true)]
    #[case("http://api.example.com", false)]
    #[case("http://203.0.113.7", false)]
    #[case("http://[2001:db8::1]:80", false)]
    fn plain_http_in_production_stays_private(#[case] text: &str, #[case] taken_in_production: bool) {
        assert_eq!(parse(text, false), Ok(text.to_owned()));
        let outcome = parse(text, true);
        assert_eq!(outcome.is_ok(), taken_in_production, "{outcome:?}");
        if let Err(error) = outcome {
            assert!(error.contains("https://"), "{error}");
        }
    }

    #[rstest]
    #[case("http://")]
    #[case("https://")]
    #[case("https:///path")]
    #[case("http://:8080")]
    #[case("http://host:")]
    #[case("http://host:0")]
    #[case("http://host:99999")]
    #[case("http://[::1")]
    #[case("http://[host]:1")]
    #[case("http://user:password@host")]
    #[case("http://ho st")]
    #[case("http://host/?a=1")]
    #[case("http://host/#a")]
    #[case("ftp://host")]
    #[case("host:8080")]
    #[case("")]
    fn invalid_url_is_refused(#[case] text: &str) {
        assert!(parse(text, false).is_err());
        assert!(parse(text, true).is_err());
    }

    #[test]
    fn slash_at_the_end_is_dropped() {
        assert_eq!(parse("https://api.example.com/", true), Ok("https://api.example.com".to_owned()));
    }
}
