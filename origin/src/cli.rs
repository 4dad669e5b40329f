//! The command line: `edgechat serve | migrate | check-config | keys`.

use std::{future::Future, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Parser, Subcommand};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    app::App,
    clock::SystemClock,
    config::{Config, Vars},
    logging,
    random::{Random, SystemRandom},
    routes, server,
    store::{OpenError, Stores},
};

/// What a wrong configuration exits with, so that a supervisor can tell it from a crash.
const EXIT_CONFIG: u8 = 2;
/// How often a start tries to reach the stores, and how long it waits in between: databases that start together with the
/// origin get about a minute.
const OPEN_ATTEMPTS: u32 = 30;
const OPEN_PAUSE: Duration = Duration::from_secs(2);

/// EdgeChat's origin: accounts, conversations and usage behind the Worker.
///
/// It is configured by environment variables and a .env file in the current folder; the environment wins. The one that is
/// always needed is JWT_SECRET, a random text of at least 32 characters: `edgechat keys new` makes one. Without more,
/// everything is in SQLite files under .edgechat/. DATABASE_URL, MONGODB_URL and REDIS_URL put accounts into PostgreSQL,
/// conversations into MongoDB and short-lived state into Redis. EDGECHAT_ENV=production refuses what is only fit for
/// development.
#[derive(Debug, Parser)]
#[command(name = "edgechat", version, after_help = EXAMPLES)]
pub struct Cli {
    /// The file of variables that the environment does not set
    #[arg(long, global = true, default_value = ".env", value_name = "FILE")]
    env_file: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  edgechat keys new >> .env     make the secrets once
  edgechat check-config         what the variables mean, or what is wrong with them
  edgechat migrate              bring the schema up before new replicas start
  edgechat serve                serve; ends on SIGTERM or Ctrl-C after running requests

It exits with 0 when all went well, 2 when the configuration is wrong, 1 when anything else is.";

#[derive(Clone, Copy, Debug, Default, Subcommand)]
enum Command {
    /// Serve until told to end (the default); migrates the stores first
    #[default]
    Serve,
    /// Bring the stores to the newest schema and end; safe while other replicas serve
    Migrate,
    /// Check the configuration and say what it means; reaches no store and changes nothing
    CheckConfig,
    /// Print the public keys that verify access tokens, as a JSON Web Key Set
    Keys {
        #[command(subcommand)]
        command: Option<KeysCommand>,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum KeysCommand {
    /// Print new random secrets as lines of a .env file; needs no configuration
    New,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or_default();
    if let Command::Keys { command: Some(KeysCommand::New) } = command {
        print_line(&mut std::io::stdout(), &new_secrets(&SystemRandom));
        return ExitCode::SUCCESS;
    }
    let config = match Vars::from_process(&cli.env_file)
        .map_err(|error| error.to_string())
        .and_then(|vars| Config::read(&vars).map_err(|error| error.to_string()))
    {
        Ok(config) => config,
        Err(problems) => {
            print_line(&mut std::io::stderr(), &problems);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let outcome = match command {
        Command::Serve => serve(config),
        Command::Migrate => migrate(&config),
        Command::CheckConfig => {
            print_line(&mut std::io::stdout(), &summary(&config));
            Ok(())
        }
        Command::Keys { .. } => key_set(&config).map(|keys| print_line(&mut std::io::stdout(), &keys)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            print_line(&mut std::io::stderr(), &reason);
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), String> {
    logging::start(&config.process);
    runtime()?.block_on(async {
        let shutdown =
            server::shutdown_signal().map_err(|error| format!("signals cannot be received: {error}"))?;
        tokio::pin!(shutdown);
        let stores = tokio::select! {
            opened = retry_transient(|| Stores::open(&config.stores)) => opened.map_err(|error| error.to_string())?,
            () = &mut shutdown => return Ok(()),
        };
        let listen_addr = config.process.listen_addr;
        let app = App::new(config, stores, Arc::new(SystemClock::start()), Arc::new(SystemRandom))
            .map_err(|error| error.to_string())?;
        let router = routes::router(app.clone()).map_err(|error| error.to_string())?;
        let listener =
            TcpListener::bind(listen_addr).await.map_err(|error| cannot_listen(listen_addr, &error))?;
        let bound = listener.local_addr().map_err(|error| cannot_listen(listen_addr, &error))?;
        print_line(&mut std::io::stdout(), &format!(r#"{{"event":"listening","addr":"{bound}"}}"#));
        tracing::info!(addr = %bound, environment = app.config.process.environment.as_str(), "listening");
        let (stop, stopped) = oneshot::channel::<()>();
        let jobs = tokio::spawn(app.job_runner().run(async { drop(stopped.await) }));
        let shutdown = async {
            shutdown.await;
            drop(stop);
        };
        server::serve(listener, router, shutdown).await;
        jobs.await.map_err(|error| format!("the runner of jobs failed: {error}"))?;
        app.stores.ephemeral.flush().await;
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not be started: {error}"))
}

/// Tries until the stores can be reached, for a bounded time. What is wrong for another reason is told at once.
async fn retry_transient<T, F>(mut reach: impl FnMut() -> F) -> Result<T, OpenError>
where
    F: Future<Output = Result<T, OpenError>>,
{
    for _ in 1..OPEN_ATTEMPTS {
        match reach().await {
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "a store cannot be reached yet");
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
    reach().await
}

fn cannot_listen(addr: std::net::SocketAddr, error: &std::io::Error) -> String {
    format!(
        "LISTEN_ADDR: {addr} cannot be listened on ({error}); choose a free address, or port 0 for any free port"
    )
}

fn migrate(config: &Config) -> Result<(), String> {
    logging::start(&config.process);
    let applied = runtime()?
        .block_on(retry_transient(|| Stores::migrate(&config.stores)))
        .map_err(|error| error.to_string())?;
    let mut stdout = std::io::stdout();
    for name in &applied {
        print_line(&mut stdout, &format!("applied {name}"));
    }
    if applied.is_empty() {
        print_line(&mut stdout, "nothing to do");
    }
    Ok(())
}

fn key_set(config: &Config) -> Result<String, String> {
    serde_json::to_string_pretty(&config.signing_keys.jwk_set())
        .map_err(|error| format!("the keys cannot be written as JSON: {error}"))
}

fn new_secrets(random: &dyn Random) -> String {
    ["JWT_SECRET", "EDGE_KEYS"].map(|name| format!("{name}={}", secret(random))).join("\n")
}

/// 256 random bits as hexadecimal digits.
fn secret(random: &dyn Random) -> String {
    let half = || {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    };
    format!("{:032x}{:032x}", half(), half())
}

fn summary(config: &Config) -> String {
    let stores = &config.stores;
    let edge = if config.edge_keys.is_some() { "set" } else { "not set: only unsigned requests are served" };
    let limits = &config.limits;
    let daily = match limits.basic_tier_daily_limit {
        Some(limit) => format!("{limit} messages a day"),
        None => "messages without limit".to_owned(),
    };
    let sign_ups = match limits.sign_up_daily_limit {
        Some(limit) => format!("{limit} a day from one network"),
        None => "without limit from one network".to_owned(),
    };
    [
        "the configuration is right".to_owned(),
        format!("environment      {}", config.process.environment.as_str()),
        format!("listens on       {}", config.process.listen_addr),
        format!("logs             {}", config.process.log_format.as_str()),
        format!("accounts         {}", stores.accounts),
        format!("conversations    {}", stores.chats),
        format!("short-lived      {}", stores.ephemeral),
        format!("mails            {}", config.mail),
        format!("key of tokens    {}", config.signing_keys.signing().kid()),
        format!("older keys       {}", config.signing_keys.jwk_set().keys.len().saturating_sub(1)),
        format!("keys of Worker   {edge}"),
        format!("access tokens    {} minutes", limits.access_token_minutes),
        format!("refresh tokens   {} days", limits.refresh_token_days),
        format!(
            "sign-ins         {} in {} s from one address",
            limits.rate_limit_requests, limits.rate_limit_window_s
        ),
        format!("sign-ups         {sign_ups}"),
        format!("basic plan       {daily}"),
    ]
    .join("\n")
}

/// Writes a line; whoever reads it may have gone, which is no reason to fail.
fn print_line(to: &mut dyn std::io::Write, line: &str) {
    let _ = writeln!(to, "{line}");
    let _ = to.flush();
}
