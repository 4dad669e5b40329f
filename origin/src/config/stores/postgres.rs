//! The address of a PostgreSQL server.

use std::fmt;

use tokio_postgres::config::Host;

use crate::config::reader::Reader;

const WANTED: &str = "it should hold the address of a PostgreSQL server, such as \
                      postgres://user:password@host:5432/edgechat";
const DEFAULT_PORT: u16 = 5432;

/// How to reach PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// Host, user, password, database: `DATABASE_URL`. Its `Debug` leaves the password out.
    pub server: tokio_postgres::Config,
    /// `DATABASE_POOL_SIZE`, default 16: the most connections of this process.
    pub pool_size: usize,
}

impl PostgresConfig {
    /// Reads what follows the scheme of `DATABASE_URL`.
    pub(super) fn read(reader: &mut Reader<'_>, rest: &str) -> Option<Self> {
        let pool_size = reader.number("DATABASE_POOL_SIZE", 16, 1..=500);
        let Ok(server) = format!("postgres://{rest}").parse::<tokio_postgres::Config>() else {
            reader.wrong("DATABASE_URL", "held a PostgreSQL address that cannot be read", WANTED);
            return None;
        };
        Some(Self { server, pool_size: usize::try_from(pool_size).unwrap_or(usize::MAX) })
    }
}

/// Where it is, without user and password.
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
