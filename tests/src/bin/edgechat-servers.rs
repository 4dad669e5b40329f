//! Runs the servers of a test run: starts what the environment does not name, prints the addresses in one line of JSON,
//! and stops everything on a signal. `cargo xtask test` runs it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use edgechat_tests::servers::supply::Supply;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code when a variable names a server that cannot be used; the reason is on standard error.
const WRONG_CONFIGURATION: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Box::pin(run()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            drop(writeln!(io::stderr(), "{reason}"));
            ExitCode::from(WRONG_CONFIGURATION)
        }
    }
}

async fn run() -> Result<(), String> {
    let watch = |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
    let (mut terminated, mut interrupted, mut hung_up) =
        (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?, watch(SignalKind::hangup())?);
    // A server that is starting when the signal arrives is owned by this future, and ends with it.
    let held = async {
        let supply = Box::pin(Supply::gather()).await?;
        let line = serde_json::to_string(supply.offer()).map_err(|error| error.to_string())?;
        writeln!(io::stdout(), "{line}")
            .map_err(|error| format!("the addresses cannot be printed: {error}"))?;
        Ok::<_, String>(supply)
    };
    let mut signalled = std::pin::pin!(async {
        tokio::select! {
            _ = terminated.recv() => {},
            _ = interrupted.recv() => {},
            _ = hung_up.recv() => {},
        }
    });
    let mut supply = tokio::select! {
        supply = held => supply?,
        () = &mut signalled => return Ok(()),
    };
    tokio::select! {
        never = supply.tidy() => match never {},
        () = signalled => {},
    }
    supply.end().await;
    Ok(())
}
