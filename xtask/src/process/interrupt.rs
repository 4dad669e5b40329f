//! Ctrl-C, SIGTERM and SIGHUP as a flag that every waiting loop looks at.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static RAISED: AtomicBool = AtomicBool::new(false);

/// Catches the signals from now on: whoever waits for a child must look at [`raised`] and stop it.
pub(crate) fn install() -> Result<()> {
    ctrlc::set_handler(|| RAISED.store(true, Ordering::SeqCst)).context("cannot watch for Ctrl-C")
}

/// Returns whether the user (or the system) has asked this program to end.
pub(crate) fn raised() -> bool {
    RAISED.load(Ordering::SeqCst)
}
