//! A model provider for development: speaks Gemini's REST API and answers without a model.

use std::{
    io::{self, Write},
    net::SocketAddr,
    num::NonZero,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{CommandFactory, FromArgMatches, Parser};
use edgechat_tests::provider::{Call, echo, script, server};
use tokio::net::TcpListener;

/// Speaks Gemini's REST API and answers without a model: it quotes the last message, word by word.
#[derive(Parser)]
#[command(name = "scripted-gemini")]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Milliseconds before the first chunk.
    #[arg(long, default_value_t = 200)]
    first_chunk_ms: u64,
    /// Milliseconds before each further chunk.
    #[arg(long, default_value_t = 50)]
    chunk_ms: u64,
    /// Send exactly this many chunks of a fixed text.
    #[arg(long)]
    chunks: Option<NonZero<u32>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::from_arg_matches(&Args::command().after_help(help()).get_matches()) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    match run(&args).await {
        Ok(never) => match never {},
        Err(error) => {
            drop(writeln!(io::stderr(), "scripted-gemini cannot serve {}: {error}", args.listen));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> io::Result<std::convert::Infallible> {
    let listener = TcpListener::bind(args.listen).await?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let pace = echo::Pace {
        first_chunk: Duration::from_millis(args.first_chunk_ms),
        chunk: Duration::from_millis(args.chunk_ms),
        chunks: args.chunks,
    };
    let answer = Arc::new(move |call: Call| {
        // A caller that disconnects is not reported: it cancelled, or was restarted.
        tokio::spawn(async move {
            let _ = echo::answer(call, pace).await;
        });
    });
    server::serve(listener, answer).await
}

fn help() -> String {
    let width = script::NAMES.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = script::NAMES.iter().map(|(name, does)| format!("  /script {name:width$}  {does}"));
    format!("A message may ask for a failure:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
