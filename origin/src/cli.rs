//! The command line: `edgechat serve | check-config | migrate`.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

use crate::{
    ambient::{SystemClock, SystemRandom},
    app::App,
    config::{Config, Vars},
    logging, routes, server,
    store::Stores,
};

/// What a wrong configuration exits with, so that a supervisor can tell it from a crash.
const EXIT_CONFIG: u8 = 2;

/// EdgeChat's origin: accounts, conversations and usage behind the Worker.
///
/// It is configured by environment variables and a .env file in the current folder; the environment wins. The one that is
/// always needed is JWT_SECRET, a random text of at least 32 characters. EDGECHAT_ENV=production refuses what is only fit
/// for development. `edgechat check-config` tells whether a configuration is right.
#[derive(Debug, Parser)]
#[command(name = "edgechat", version)]
pub struct Cli {
    /// The file of variables that the environment does not set
    #[arg(long, global = true, default_value = ".env", value_name = "FILE")]
    env_file: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Default, Subcommand)]
enum Command {
    /// Serve until told to end (the default); migrates the stores first
    #[default]
    Serve,
    /// Check the configuration and say what it means; changes nothing
    CheckConfig,
    /// Bring the stores to the newest schema and end
    Migrate,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let config = match Vars::from_process(&cli.env_file)
        .map_err(|error| error.to_string())
        .and_then(|vars| Config::read(&vars).map_err(|error| error.to_string()))
    {
        Ok(config) => config,
        Err(problems) => {
            say(&mut std::io::stderr(), &problems);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let outcome = match cli.command.unwrap_or_default() {
        Command::Serve => serve(config),
        Command::CheckConfig => {
            say(&mut std::io::stdout(), &summary(&config));
            Ok(())
        }
        Command::Migrate => migrate(&config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            say(&mut std::io::stderr(), &reason);
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), String> {
    logging::start(&config.process);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not be started: {error}"))?;
    let stores = Stores::open(&config.stores).map_err(|error| error.to_string())?;
    let listen_addr = config.process.listen_addr;
    let app = App::new(config, stores, Arc::new(SystemClock::start()), Arc::new(SystemRandom))
        .map_err(|error| error.to_string())?;
    let router = routes::router(app.clone()).map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(listen_addr).await.map_err(|error| cannot_listen(listen_addr, &error))?;
        let bound = listener.local_addr().map_err(|error| cannot_listen(listen_addr, &error))?;
        let shutdown =
            server::shutdown_signal().map_err(|error| format!("signals cannot be received: {error}"))?;
        say(&mut std::io::stdout(), &format!(r#"{{"event":"listening","addr":"{bound}"}}"#));
        tracing::info!(addr = %bound, environment = app.config.process.environment.as_str(), "listening");
        server::serve(listener, router, shutdown).await;
        Ok(())
    })
}

fn cannot_listen(addr: std::net::SocketAddr, error: &std::io::Error) -> String {
    format!(
        "LISTEN_ADDR: {addr} cannot be listened on ({error}); choose a free address, or port 0 for any free port"
    )
}

fn migrate(config: &Config) -> Result<(), String> {
    let applied = Stores::migrate(&config.stores).map_err(|error| error.to_string())?;
    let mut stdout = std::io::stdout();
    for name in &applied {
        say(&mut stdout, &format!("applied {name}"));
    }
    if applied.is_empty() {
        say(&mut stdout, "nothing to do");
    }
    Ok(())
}

fn summary(config: &Config) -> String {
    use crate::config::stores::{AccountsStore, ChatsStore, EphemeralStore};
    let AccountsStore::Sqlite(accounts) = &config.stores.accounts;
    let ChatsStore::Sqlite(chats) = &config.stores.chats;
    let EphemeralStore::Memory = config.stores.ephemeral;
    let edge = if config.edge_keys.is_some() { "set" } else { "not set: only unsigned requests are served" };
    let limits = &config.limits;
    [
        "the configuration is right".to_owned(),
        format!("environment      {}", config.process.environment.as_str()),
        format!("listens on       {}", config.process.listen_addr),
        format!("logs             {}", config.process.log_format.as_str()),
        format!("accounts         SQLite, {}", accounts.display()),
        format!("conversations    SQLite, {}", chats.display()),
        "short-lived      in this process".to_owned(),
        format!("key of tokens    {}", config.signing_key.kid()),
        format!("keys of Worker   {edge}"),
        format!("access tokens    {} minutes", limits.access_token_minutes),
        format!("refresh tokens   {} days", limits.refresh_token_days),
        format!(
            "sign-ins         {} in {} s from one address",
            limits.rate_limit_requests, limits.rate_limit_window_s
        ),
        format!("basic plan       {} messages a day", limits.basic_tier_daily_limit),
    ]
    .join("\n")
}

/// Writes a line; whoever reads it may have gone, which is no reason to fail.
fn say(to: &mut dyn std::io::Write, line: &str) {
    let _ = writeln!(to, "{line}");
    let _ = to.flush();
}
