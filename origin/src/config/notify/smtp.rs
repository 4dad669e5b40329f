//! The server for e-mail: `SMTP_URL`, `SMTP_CA_FILE` and `MAIL_FROM`.

use std::{fmt, net::IpAddr};

use lettre::{Address, message::Mailbox};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use url::{Host, Url};

use crate::config::{
    Secret, pem,
    reader::{Reader, UNSET, quoted},
};

const URL_WANTED: &str = "it should hold the address of an SMTP server, such as smtp://user:password@smtp.example.com:587 \
                          (STARTTLS) or smtps://user:password@smtp.example.com:465, user and password percent-encoded";
const FROM_WANTED: &str = "it should hold the sender of mails, such as EdgeChat <no-reply@example.com>";
const CA_WANTED: &str = "it should name a file with certificates in PEM form";

/// A server for e-mail.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// The name or address in `SMTP_URL`.
    pub host: String,
    /// The port in `SMTP_URL`, default 465 for `smtps://`, 25 without TLS, and else 587.
    pub port: u16,
    /// The protection of the connection: the scheme, and the parameter `tls`.
    pub tls: SmtpTls,
    /// User and password in `SMTP_URL`, if it has them.
    pub login: Option<(String, Secret)>,
    /// The name that the client calls itself by: the path of `SMTP_URL`, default the domain of `MAIL_FROM`.
    pub client_name: String,
    /// `SMTP_CA_FILE`, default none: certificates that are trusted besides the system's.
    pub roots: Vec<CertificateDer<'static>>,
    /// `MAIL_FROM`, required with `SMTP_URL`: the sender, with its domain in ASCII.
    pub from: Mailbox,
}

/// The protection of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// `smtps://`: TLS from the first byte.
    Implicit,
    /// `smtp://`, unless the host is of this machine: STARTTLS, or no mail.
    Required,
    /// `?tls=opportunistic`: STARTTLS where the server offers it, which an attacker on the way can prevent. Refused in production
    /// unless the host is of this machine.
    Opportunistic,
    /// The default for a host of this machine, else `?tls=none`, which is refused in production.
    Off,
}

/// A host and how to reach it.
struct Server {
    host: String,
    port: u16,
    tls: SmtpTls,
    login: Option<(String, Secret)>,
    client_name: Option<String>,
}

/// Reads the section; `None` while `SMTP_URL` is unset.
pub(super) fn read(reader: &mut Reader<'_>, is_production: bool) -> Option<SmtpConfig> {
    let text = reader.text("SMTP_URL")?;
    let server =
        server(text, is_production).map_err(|(held, wanted)| reader.wrong("SMTP_URL", held, wanted)).ok();
    let from = from(reader);
    let roots = roots(reader);
    let (server, from) = (server?, from?);
    Some(SmtpConfig {
        host: server.host,
        port: server.port,
        tls: server.tls,
        login: server.login,
        client_name: server.client_name.unwrap_or_else(|| from.email.domain().to_owned()),
        roots: roots?,
        from,
    })
}

/// Reads the address of the server. Errors: what it held, without a password, and what it should hold.
fn server(text: &str, is_production: bool) -> Result<Server, (String, String)> {
    let wrong = |held: &str| (held.to_owned(), URL_WANTED.to_owned());
    let unreadable = || wrong("held something that is no address of an SMTP server");
    let url = Url::parse(text).map_err(|_| unreadable())?;
    let host = url.host().filter(|_| url.fragment().is_none()).ok_or_else(unreadable)?;
    let tls = tls(&url, is_local(&host), is_production)?;
    let default_port = match tls {
        SmtpTls::Implicit => 465,
        SmtpTls::Required | SmtpTls::Opportunistic => 587,
        SmtpTls::Off => 25,
    };
    let decoded = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8().ok()?;
        (!decoded.contains('\0')).then(|| decoded.into_owned())
    };
    let login = match (decoded(url.username()), url.password().map(decoded)) {
        (Some(user), None) if user.is_empty() => None,
        (Some(user), Some(Some(password))) if !user.is_empty() => Some((user, Secret::new(&password))),
        _ => return Err(wrong("held a user without a password, or a password without a user")),
    };
    let client_name = url.path().trim_matches('/');
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    if !client_name.bytes().all(is_name) {
        // It is not quoted: it may be the end of a password that was not encoded.
        let wanted = "its path should be the name of this host, or none, and a password percent-encoded";
        return Err(("held a path that is no host name".to_owned(), wanted.to_owned()));
    }
    Ok(Server {
        // The library writes the brackets of an IPv6 address itself.
        host: host.to_string().trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(default_port),
        tls,
        login,
        client_name: (!client_name.is_empty()).then(|| client_name.to_owned()),
    })
}

fn tls(url: &Url, is_local: bool, is_production: bool) -> Result<SmtpTls, (String, String)> {
    let wrong = |held: String, wanted: &str| Err((held, wanted.to_owned()));
    let mut parameters = url.query_pairs();
    let (tls, rest) = (parameters.next(), parameters.next());
    if rest.is_some() || tls.as_ref().is_some_and(|(name, _)| name != "tls") {
        let wanted = "it should have no parameter but tls, and a password percent-encoded";
        return wrong("held another parameter than tls".to_owned(), wanted);
    }
    let tls = tls.as_ref().map(|(_, value)| &**value);
    let tls = match (url.scheme(), tls) {
        ("smtps", None) => SmtpTls::Implicit,
        ("smtp", Some("none")) => SmtpTls::Off,
        ("smtp", None) if is_local => SmtpTls::Off,
        ("smtp", None | Some("required")) => SmtpTls::Required,
        ("smtp", Some("opportunistic")) => SmtpTls::Opportunistic,
        ("smtp" | "smtps", Some(other)) => {
            return wrong(
                format!("held tls={other}"),
                "tls should be required, opportunistic or none, and with smtps:// it should not be set",
            );
        }
        _ => return wrong("held something that is no address of an SMTP server".to_owned(), URL_WANTED),
    };
    match tls {
        SmtpTls::Off | SmtpTls::Opportunistic if is_production && !is_local => {
            let value = if tls == SmtpTls::Off { "none" } else { "opportunistic" };
            wrong(format!("held tls={value}"), "tls should be required in production, or the scheme smtps://")
        }
        tls => Ok(tls),
    }
}

/// Returns true for a host of this machine.
fn is_local(host: &Host<&str>) -> bool {
    match host {
        // A scheme that the parser does not know leaves IPv4 addresses as they are.
        Host::Domain(name) => {
            *name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn from(reader: &mut Reader<'_>) -> Option<Mailbox> {
    let Some(text) = reader.text("MAIL_FROM") else {
        reader.wrong("MAIL_FROM", UNSET, format!("{FROM_WANTED}, as SMTP_URL is set"));
        return None;
    };
    let from = sender(text);
    if from.is_none() {
        reader.wrong("MAIL_FROM", quoted(text), FROM_WANTED);
    }
    from
}

/// Reads a sender, whose domain is returned in ASCII.
fn sender(text: &str) -> Option<Mailbox> {
    let mailbox = text.parse::<Mailbox>().ok().filter(|_| !text.contains(char::is_control))?;
    let (user, domain) = (mailbox.email.user(), idna::domain_to_ascii(mailbox.email.domain()).ok()?);
    let email = Address::new(user, domain).ok().filter(|_| user.is_ascii())?;
    Some(Mailbox::new(mailbox.name, email))
}

fn roots(reader: &mut Reader<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let Some(path) = reader.text("SMTP_CA_FILE") else { return Some(Vec::new()) };
    pem::certificates(path)
        .map_err(|why| reader.wrong("SMTP_CA_FILE", format!("{}, {why}", quoted(path)), CA_WANTED))
        .ok()
}

/// The server without user and password.
impl fmt::Display for SmtpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protection = match self.tls {
            SmtpTls::Implicit => "by TLS",
            SmtpTls::Required => "by STARTTLS",
            SmtpTls::Opportunistic => "by STARTTLS if offered",
            SmtpTls::Off => "without TLS",
        };
        write!(f, "SMTP, {}:{}, {protection}, from {}", self.host, self.port, self.from)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("smtps://u:p@mail.example", true, "mail.example", 465, SmtpTls::Implicit)]
    #[case("smtps://u:p@mail.example:4650", true, "mail.example", 4_650, SmtpTls::Implicit)]
    #[case("smtp://u:p@mail.example", true, "mail.example", 587, SmtpTls::Required)]
    #[case("smtp://u:p@mail.example:25?tls=required", true, "mail.example", 25, SmtpTls::Required)]
    #[case("smtp://mail.example?tls=opportunistic", false, "mail.example", 587, SmtpTls::Opportunistic)]
    #[case("smtp://mail.example?tls=none", false, "mail.example", 25, SmtpTls::Off)]
    #[case("smtp://localhost:1025", true, "localhost", 1_025, SmtpTls::Off)]
    #[case("smtp://127.0.0.1:1025/", true, "127.0.0.1", 1_025, SmtpTls::Off)]
    #[case("smtp://[::1]:1025", true, "::1", 1_025, SmtpTls::Off)]
    #[case("smtp://localhost:1025?tls=required", true, "localhost", 1_025, SmtpTls::Required)]
    fn address_of_a_server_is_read(
        #[case] text: &str,
        #[case] is_production: bool,
        #[case] host: &str,
        #[case] port: u16,
        #[case] tls: SmtpTls,
    ) {
        let server =
            server(text, is_production).map_err(|(held, wanted)| format!("{held}; {wanted}")).unwrap();
        assert_eq!((server.host.as_str(), server.port, server.tls), (host, port, tls));
    }

    #[test]
    fn user_and_password_are_decoded_and_the_path_is_the_clients_name() {
        let server = server("smtp://ada%40example.com:a+b%2Fc@mail.example/app.example", true).ok().unwrap();
        let (user, password) = server.login.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("ada@example.com", "a+b/c"));
        assert_eq!(server.client_name.as_deref(), Some("app.example"));
    }

    #[rstest]
    #[case("EdgeChat <no-reply@example.com>", "EdgeChat <no-reply@example.com>")]
    #[case("no-reply@example.com", "no-reply@example.com")]
    #[case("\"Chat, Inc.\" <no-reply@example.com>", "\"Chat, Inc.\" <no-reply@example.com>")]
    #[case("Müller <chat@müller.example>", "Müller <chat@xn--mller-kva.example>")]
    fn sender_is_read_with_its_domain_in_ascii(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(sender(text).map(|from| from.to_string()).as_deref(), Some(expected));
    }

    #[rstest]
    #[case("EdgeChat")]
    #[case("a@b@c")]
    #[case("müller@example.com")]
    #[case("Chat <a@example.com>\r\nBcc: b@example.com")]
    #[case("Chat <a@example.com>, b@example.com")]
    fn what_is_no_sender_is_refused(#[case] text: &str) {
        assert_eq!(sender(text), None);
    }
}
