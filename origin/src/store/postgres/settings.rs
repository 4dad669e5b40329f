//! The settings of every connection, which override those of the server, the role and the address.
//!
//! The settings of a session travel in the packet that opens it and cost no round trip. A pooler that refuses `options`
//! there (PgBouncer without `ignore_startup_parameters = options`) needs them on the role instead.

use std::{fmt::Write as _, time::Duration};

use tokio_postgres::Config;

use crate::config::stores::PostgresConfig;

/// The schema that all tables are in. An earlier backend's tables, which have the same names, may lie in the same database.
pub(super) const SCHEMA: &str = "edgechat";

/// The settings of a session that serves. A write is on the disk before it is acknowledged; nothing waits for ever;
/// each statement sees what was committed before it began.
const SERVING: &[(&str, &str)] = &[
    ("synchronous_commit", "on"),
    ("statement_timeout", "5s"),
    ("lock_timeout", "4s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("default_transaction_isolation", "read\\ committed"),
    ("search_path", SCHEMA),
];

/// The settings of a session that migrates. A statement may take long (an index is built); the wait for a lock on a table in
/// use is short, since all later statements would queue behind it.
const MIGRATING: &[(&str, &str)] = &[
    ("synchronous_commit", "on"),
    ("statement_timeout", "15min"),
    ("lock_timeout", "4s"),
    ("idle_in_transaction_session_timeout", "1min"),
    ("default_transaction_isolation", "read\\ committed"),
    ("search_path", SCHEMA),
];

/// A dead peer is noticed by probes on an idle connection, and by what is not acknowledged on a busy one.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Returns the configuration for serving; `connect` bounds all attempts together.
pub(super) fn serving(config: &PostgresConfig, connect: Duration) -> Config {
    with(&config.server, SERVING, connect)
}

/// Returns the configuration for migrating; `connect` bounds all attempts together.
pub(super) fn migrating(config: &PostgresConfig, connect: Duration) -> Config {
    with(&config.server, MIGRATING, connect)
}

fn with(server: &Config, settings: &[(&str, &str)], connect: Duration) -> Config {
    // What is named last counts, so the address can add settings and cannot weaken these.
    let mut options = server.get_options().unwrap_or_default().to_owned();
    for (name, value) in settings {
        // Writing to a string cannot fail.
        let _ = write!(options, " -c {name}={value}");
    }
    let mut server = server.clone();
    // Several hosts are tried one after the other within the same time, and the driver gives each address that a name
    // stands for what is given here: of a single name more than half, which a packet that was lost and is sent again after
    // a second needs, and so little that a second address gets its turn.
    let each = match server.get_hosts().len().max(server.get_hostaddrs().len()) {
        0 | 1 => connect * 3 / 5,
        hosts => connect / u32::try_from(hosts).unwrap_or(u32::MAX),
    };
    let connect = server.get_connect_timeout().map_or(each, |given| each.min(*given));
    server
        .options(options.trim_start())
        .application_name("edgechat")
        .connect_timeout(connect)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES)
        .tcp_user_timeout(UNACKNOWLEDGED);
    server
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::store::contract::postgres::config;

    /// The driver gives this time to each address of a name: the second must get its turn before all of it is over.
    #[rstest]
    #[case::one_name("db/x", 1_200)]
    #[case::two_names("a,b/x", 1_000)]
    #[case::four_names("a,b,c,d/x", 500)]
    #[case::less_was_asked_for("db/x?connect_timeout=1", 1_000)]
    #[case::more_was_asked_for("db/x?connect_timeout=7", 1_200)]
    fn silent_address_leaves_time_for_next(#[case] rest: &str, #[case] share_ms: u64) {
        let config = config(&format!("postgres://u@{rest}"));
        let all = Duration::from_secs(2);
        for server in [serving(&config, all), migrating(&config, all)] {
            assert_eq!(server.get_connect_timeout(), Some(&Duration::from_millis(share_ms)));
        }
    }
}
