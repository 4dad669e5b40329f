//! The command line: `edgechat serve | migrate | check-config | keys | sessions | users`.
//!
//! - `operator`: what an operator does to accounts
//! - `keys`: the keys of access tokens

mod keys;
mod operator;

use std::{future::Future, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Parser, Subcommand};
use tokio::{net::TcpListener, sync::oneshot};

use self::{
    keys::KeysCommand,
    operator::{SessionsCommand, UsersCommand},
};
use crate::{
    app::App,
    clock::SystemClock,
    config::{Config, Vars},
    logging,
    random::SystemRandom,
    routes, server,
    store::{OpenError, Stores},
    telemetry::{self, traces::Traces},
};

/// The exit code of a wrong configuration, which a supervisor can distinguish from a crash.
const EXIT_CONFIG: u8 = 2;
/// The attempts of a start to reach the stores, and the pause between them: databases that start together with the origin
/// get about a minute.
const OPEN_ATTEMPTS: u32 = 30;
const OPEN_PAUSE: Duration = Duration::from_secs(2);

/// EdgeChat's origin: accounts, conversations and usage behind the Worker.
///
/// It is configured by environment variables and a .env file in the current folder; the environment wins. The one that is
/// always needed is JWT_SECRET, a random text of at least 32 characters: `edgechat keys make` makes one. Without more,
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
  edgechat keys make >> .env    make the secrets once
  edgechat check-config         what the variables mean, or what is wrong with them
  edgechat migrate              bring the schema up before new replicas start
  edgechat serve                serve; ends on SIGTERM or Ctrl-C after running requests
  edgechat keys rotate          change the key of access tokens, without a restart
  edgechat sessions end a@b.c   sign somebody out everywhere
  edgechat users suspend a@b.c  sign somebody out everywhere and let them in no more

It exits with 0 when all went well, 2 when the configuration is wrong, 1 when anything else is.";

#[derive(Clone, Debug, Default, Subcommand)]
enum Command {
    /// Serve until told to end (the default); migrates the stores first
    #[default]
    Serve,
    /// Bring the stores to the newest schema and end; safe while other replicas serve
    Migrate,
    /// Check the configuration and say what it means; reaches no store and changes nothing
    CheckConfig,
    /// Make, list and rotate keys; alone it prints the public keys that verify access tokens, as a JSON Web Key Set
    Keys {
        #[command(subcommand)]
        command: Option<KeysCommand>,
    },
    /// End sessions; safe while origins serve
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Change users; safe while origins serve
    #[command(subcommand)]
    Users(UsersCommand),
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or_default();
    if let Command::Keys { command: Some(KeysCommand::Make) } = command {
        print_line(&mut std::io::stdout(), &keys::new_secrets(&SystemRandom));
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
        Command::Sessions(command) => {
            operate(config, |app| async move { operator::sessions(&app, command).await })
        }
        Command::Users(command) => operate(config, |app| async move { operator::users(&app, command).await }),
        Command::Keys { command } => operate(config, |app| async move { keys::run(&app, command).await }),
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
    let runtime = runtime()?;
    let traces =
        config.telemetry.traces.as_ref().map(|traces| Traces::start(traces, runtime.handle().clone()));
    let traces = traces.transpose().map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(serve_requests(config));
    if let Some(traces) = traces {
        traces.end();
    }
    outcome
}

async fn serve_requests(config: Config) -> Result<(), String> {
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
    app.auth.tokens.keys.read().await.map_err(|error| format!("the keys of access tokens: {error}"))?;
    let router = routes::router(app.clone()).map_err(|error| error.to_string())?;
    serve_metrics(app.config.telemetry.metrics_addr).await?;
    let (listener, bound) = listen("LISTEN_ADDR", listen_addr).await?;
    print_line(&mut std::io::stdout(), &format!(r#"{{"event":"listening","addr":"{bound}"}}"#));
    tracing::info!(addr = %bound, environment = app.config.process.environment.as_str(), "listening");
    let (stop, stopped) = oneshot::channel::<()>();
    let jobs = tokio::spawn(app.job_runner().run(async { drop(stopped.await) }));
    let shutdown = async {
        shutdown.await;
        drop(stop);
    };
    tokio::select! {
        () = server::serve(listener, router, shutdown) => (),
        () = app.events.run(&app.stores) => (),
        () = app.auth.tokens.keys.follow() => (),
    }
    jobs.await.map_err(|error| format!("the runner of jobs failed: {error}"))?;
    app.auth.flush().await;
    app.stores.ephemeral.flush().await;
    Ok(())
}

/// Changes accounts and prints the outcome.
fn operate<F: Future<Output = Result<String, String>>>(
    config: Config,
    act: impl FnOnce(App) -> F,
) -> Result<(), String> {
    logging::start(&config.process);
    let outcome = runtime()?.block_on(async {
        let stores = Stores::open(&config.stores).await.map_err(|error| error.to_string())?;
        let app = App::new(config, stores, Arc::new(SystemClock::start()), Arc::new(SystemRandom))
            .map_err(|error| error.to_string())?;
        act(app).await
    })?;
    print_line(&mut std::io::stdout(), &outcome);
    Ok(())
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

/// Serves the figures from now on, where an address is set for them. They are there until the process ends, also while the last
/// requests finish.
async fn serve_metrics(addr: Option<SocketAddr>) -> Result<(), String> {
    let Some(addr) = addr else { return Ok(()) };
    let (listener, bound) = listen("METRICS_ADDR", addr).await?;
    print_line(&mut std::io::stdout(), &format!(r#"{{"event":"serving metrics","addr":"{bound}"}}"#));
    tokio::spawn(server::serve(listener, telemetry::private::router(), std::future::pending()));
    Ok(())
}

/// Listens on an address; returns the one that it came to be, where the port was left open.
async fn listen(variable: &str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let listening = async {
        let listener = TcpListener::bind(addr).await?;
        let bound = listener.local_addr()?;
        Ok::<_, std::io::Error>((listener, bound))
    };
    listening.await.map_err(|error| {
        format!("{variable}: {addr} cannot be listened on ({error}); choose a free address, or port 0 for any free port")
    })
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

fn summary(config: &Config) -> String {
    let stores = &config.stores;
    let edge = if config.edge_keys.is_some() { "set" } else { "not set: only unsigned requests are served" };
    let metrics = config.telemetry.metrics_addr.map_or_else(|| "off".to_owned(), |addr| addr.to_string());
    let traces = config.telemetry.traces.as_ref().map_or("off", |traces| &traces.url);
    let limits = &config.limits;
    let daily = match limits.basic_tier_daily_limit {
        Some(limit) => format!("{limit} messages a day"),
        None => "messages without limit".to_owned(),
    };
    let sign_ups = match limits.sign_up_daily_limit {
        Some(limit) => format!("{limit} a day from one network"),
        None => "without limit from one network".to_owned(),
    };
    let documents = config.required_documents.iter();
    let documents: Vec<_> = documents.map(|known| format!("{} {}", known.document, known.version)).collect();
    let documents = if documents.is_empty() { "none".to_owned() } else { documents.join(", ") };
    let passkeys = config.passkeys.as_ref().map_or("no domain: off", |passkeys| &passkeys.rp_id);
    [
        "the configuration is right".to_owned(),
        format!("environment      {}", config.process.environment.as_str()),
        format!("listens on       {}", config.process.listen_addr),
        format!("metrics          {metrics}"),
        format!("traces           {traces}"),
        format!("logs             {}", config.process.log_format.as_str()),
        format!("accounts         {}", stores.accounts),
        format!("conversations    {}", stores.chats),
        format!("short-lived      {}", stores.ephemeral),
        format!("mails            {}", config.notify.mail),
        format!("SMS              {}", config.notify.sms),
        format!("links in mails   {}", config.notify.public_url),
        format!("key of secret    {}", config.signing_keys.signing().kid()),
        format!("older secrets    {}", config.signing_keys.jwk_set().keys.len().saturating_sub(1)),
        format!("keys of Worker   {edge}"),
        format!("Worker           {}", config.edge_url.as_deref().unwrap_or("EDGE_URL is not set")),
        format!("access tokens    {} minutes", limits.access_token_minutes),
        format!("refresh tokens   {} days", limits.refresh_token_days),
        format!(
            "sign-ins         {} in {} s from one address",
            limits.rate_limit_requests, limits.rate_limit_window_s
        ),
        format!("sign-ups         {sign_ups}"),
        format!("basic plan       {daily}"),
        format!("to be agreed to  {documents}"),
        format!("passkeys of      {passkeys}"),
    ]
    .join("\n")
}

/// Writes a line; whoever reads it may have gone, which is no reason to fail.
fn print_line(to: &mut dyn std::io::Write, line: &str) {
    let _ = writeln!(to, "{line}");
    let _ = to.flush();
}
