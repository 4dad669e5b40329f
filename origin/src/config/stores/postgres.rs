//! The address of a PostgreSQL server.

use std::{fmt, sync::Arc};

use rustls::RootCertStore;
use tokio_postgres::config::{Host, SslMode};

use crate::config::{pem, reader::Reader};

const WANTED: &str = "it should hold the address of a PostgreSQL server, such as \
                      postgres://user:password@host:5432/edgechat, with @, /, ? and other special characters of the \
                      password percent-encoded";
const MODES: &str = "disable, prefer, require, verify-ca or verify-full";
const DEFAULT_PORT: u16 = 5432;

/// The parameters of an address that the driver reads itself.
const OF_DRIVER: [&str; 16] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "target_session_attrs",
    "user",
];

/// The connection settings of PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// Host, user, password, database: `DATABASE_URL`. Its `Debug` leaves the password out.
    pub server: tokio_postgres::Config,
    /// The TLS settings, from the parameters `sslmode` (or `ssl`, as asyncpg calls it) and `sslrootcert`; `None` where TLS is
    /// off.
    pub tls: Option<Tls>,
    /// `DATABASE_POOL_SIZE`, default 16: the most connections of this process.
    pub pool_size: usize,
}

/// The TLS settings.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The verification of the server's certificate.
    pub verify: Verify,
    /// The certificates of `sslrootcert`; `None` stands for the system's.
    pub roots: Option<Arc<RootCertStore>>,
}

/// The verification of the server's certificate, as libpq defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// None: `prefer`, `require`. This protects from passive, not from active attackers.
    Nothing,
    /// The chain to a root: `verify-ca`, and `prefer` or `require` where `sslrootcert` names one.
    Chain,
    /// The chain to a root, and the name of the address's host: `verify-full`.
    ChainAndName,
}

impl PostgresConfig {
    /// Parses the part of `DATABASE_URL` after the scheme.
    pub(super) fn read(reader: &mut Reader<'_>, rest: &str) -> Option<Self> {
        let pool_size = reader.number("DATABASE_POOL_SIZE", 16, 1..=500);
        match address(rest) {
            Ok((server, tls)) => {
                Some(Self { server, tls, pool_size: usize::try_from(pool_size).unwrap_or(usize::MAX) })
            }
            Err((held, wanted)) => {
                reader.wrong("DATABASE_URL", held, wanted);
                None
            }
        }
    }
}

/// The value that an address held and the value it should hold.
type Wrong = (String, String);

fn address(rest: &str) -> Result<(tokio_postgres::Config, Option<Tls>), Wrong> {
    // A question mark may be part of a password, which ends with an @.
    let host = rest.find('@').unwrap_or_default();
    let (base, query) = match rest.get(host..).and_then(|tail| tail.split_once('?')) {
        Some((tail, query)) => (rest.get(..host + tail.len()).unwrap_or(rest), query),
        None => (rest, ""),
    };
    if base.matches('@').count() > 1 {
        return Err(unreadable());
    }
    // Text before another @ may be the end of a password: none of it is shown.
    read(base, query).map_err(|wrong| if query.contains('@') { unreadable() } else { wrong })
}

fn unreadable() -> Wrong {
    ("held a PostgreSQL address that cannot be read".to_owned(), WANTED.to_owned())
}

/// Parses the parts of an address before and after its question mark.
fn read(base: &str, query: &str) -> Result<(tokio_postgres::Config, Option<Tls>), Wrong> {
    let (mut left, mut mode, mut roots) = (Vec::new(), None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = decoded(pair);
        match name.as_str() {
            "sslmode" | "ssl" => mode = Some((name, value)),
            "sslrootcert" => roots = Some(value),
            name if OF_DRIVER.contains(&name) => left.push(pair),
            name if !is_name(name) || !pair.contains('=') => return Err(unreadable()),
            _ => {
                let held = format!("held the parameter {name:?}, which is not known");
                let known = format!("sslmode, ssl, sslrootcert, {}", OF_DRIVER.join(", "));
                return Err((held, format!("it should hold none but {known}")));
            }
        }
    }
    let url = format!("postgres://{base}?{}", left.join("&"));
    let mut server = url.parse::<tokio_postgres::Config>().map_err(|_| unreadable())?;
    if server.get_hosts().is_empty() && server.get_hostaddrs().is_empty() {
        return Err(unreadable());
    }
    let (mode, tls) = tls(mode, roots.as_deref())?;
    server.ssl_mode(mode);
    Ok((server, tls))
}

/// Returns true when this looks like the name of a parameter, and not like a piece of a password.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Percent-decodes a parameter's name and value; a plus stays a plus.
fn decoded(pair: &str) -> (String, String) {
    let pair = pair.replace('+', "%2B");
    form_urlencoded::parse(pair.as_bytes()).next().map(|(n, v)| (n.into(), v.into())).unwrap_or_default()
}

fn tls(mode: Option<(String, String)>, roots: Option<&str>) -> Result<(SslMode, Option<Tls>), Wrong> {
    // libpq's value for the system's roots, which requires verification of the name.
    let system = roots == Some("system");
    let (name, value) = mode
        .unwrap_or_else(|| ("sslmode".to_owned(), if system { "verify-full" } else { "prefer" }.to_owned()));
    let loose = if roots.is_some() { Verify::Chain } else { Verify::Nothing };
    let (mode, verify) = match value.as_str() {
        "disable" => return Ok((SslMode::Disable, None)),
        "prefer" => (SslMode::Prefer, loose),
        "require" => (SslMode::Require, loose),
        "verify-ca" => (SslMode::Require, Verify::Chain),
        "verify-full" => (SslMode::Require, Verify::ChainAndName),
        _ => return Err((format!("held {name}={value}"), format!("{name} should be {MODES}"))),
    };
    if system && verify != Verify::ChainAndName {
        return Err((
            format!("held {name}={value} with sslrootcert=system"),
            format!("{name} should be verify-full"),
        ));
    }
    let roots = roots.filter(|_| !system).map(certificates).transpose()?;
    Ok((mode, Some(Tls { verify, roots })))
}

/// Reads the certificates of a PEM file.
fn certificates(path: &str) -> Result<Arc<RootCertStore>, Wrong> {
    let wrong = |why: String| {
        let held = format!("held sslrootcert={path}, {why}");
        (held, "sslrootcert should name a file with certificates in PEM form".to_owned())
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem::certificates(path).map_err(wrong)?);
    Ok(Arc::new(roots))
}

/// The address without user and password.
impl fmt::Display for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ports = self.server.get_ports().iter().cycle();
        for (index, host) in self.server.get_hosts().iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let port = ports.next().copied().unwrap_or(DEFAULT_PORT);
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}:{port}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{separator}{}", path.display())?,
            }
        }
        write!(f, "/{}", self.server.get_dbname().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn modes(rest: &str) -> (SslMode, Option<Verify>) {
        let (server, tls) = address(rest).unwrap();
        (server.get_ssl_mode(), tls.map(|tls| tls.verify))
    }

    #[rstest]
    #[case("db/x", SslMode::Prefer, Some(Verify::Nothing))]
    #[case("db/x?sslmode=disable", SslMode::Disable, None)]
    #[case("db/x?sslmode=prefer", SslMode::Prefer, Some(Verify::Nothing))]
    #[case("db/x?sslmode=require", SslMode::Require, Some(Verify::Nothing))]
    #[case("db/x?sslmode=verify-ca", SslMode::Require, Some(Verify::Chain))]
    #[case("db/x?sslmode=verify-full", SslMode::Require, Some(Verify::ChainAndName))]
    #[case("u:p?q@db/x?ssl=require&target_session_attrs=read-write", SslMode::Require, Some(Verify::Nothing))]
    #[case("db/x?sslrootcert=system", SslMode::Require, Some(Verify::ChainAndName))]
    fn sslmode_matches_libpq(#[case] rest: &str, #[case] mode: SslMode, #[case] verify: Option<Verify>) {
        assert_eq!(modes(rest), (mode, verify));
    }

    #[test]
    fn rest_of_address_is_passed_to_driver() {
        let (server, _) =
            address("u%40x:p?w@a,b:5433/chat?sslmode=require&connect_timeout=7&options=-c%20x=1").unwrap();
        assert_eq!(server.get_hosts(), [Host::Tcp("a".to_owned()), Host::Tcp("b".to_owned())]);
        assert_eq!((server.get_user(), server.get_password()), (Some("u@x"), Some(b"p?w".as_slice())));
        assert_eq!((server.get_dbname(), server.get_ports()), (Some("chat"), [5432, 5433].as_slice()));
        assert_eq!(server.get_options(), Some("-c x=1"));
        assert_eq!(server.get_connect_timeout(), Some(&std::time::Duration::from_secs(7)));
    }

    #[rstest]
    #[case("db/x?sslcert=a&sslmode=require", "held the parameter \"sslcert\", which is not known")]
    #[case("db/x?sslmode=verify", "held sslmode=verify")]
    #[case("db/x?ssl=true", "held ssl=true")]
    #[case("db/x?sslmode=require&sslrootcert=system", "held sslmode=require with sslrootcert=system")]
    #[case(
        "db/x?sslmode=verify-full&sslrootcert=/none/ca.pem",
        "held sslrootcert=/none/ca.pem, which cannot be read"
    )]
    #[case("db/x?Pass+word", "held a PostgreSQL address that cannot be read")]
    #[case("db/x?SSL=1", "held a PostgreSQL address that cannot be read")]
    #[case("db:x/x", "held a PostgreSQL address that cannot be read")]
    #[case("/x", "held a PostgreSQL address that cannot be read")]
    fn invalid_address_is_named(#[case] rest: &str, #[case] held: &str) {
        let (found, wanted) = address(rest).unwrap_err();
        assert!(found.starts_with(held), "{found}");
        assert!(wanted.contains("should"), "{wanted}");
    }

    #[rstest]
    #[case("u:p@ss?word@db/x")]
    #[case("u:p@ss?word=1@db/x")]
    #[case("u:p@ss?sslmode=word@db/x")]
    #[case("u:p@ss?sslrootcert=word@db/x")]
    #[case("u:p@ss/word@db/x")]
    #[case("u:p@ss?user=word@db/x&ssl=word")]
    fn password_is_never_shown_as_parameter_name(#[case] rest: &str) {
        let (held, wanted) = address(rest).unwrap_err();
        assert_eq!(held, "held a PostgreSQL address that cannot be read");
        assert!(wanted.contains("percent-encoded"), "{wanted}");
    }

    #[test]
    fn named_root_is_used_and_empty_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let rest = format!("db/x?sslmode=require&sslrootcert={}", file.path().display());
        let (held, _) = address(&rest).unwrap_err();
        assert!(held.ends_with("which has no certificate"), "{held}");
    }
}
