//! `cargo xtask bench`: the measurement, with everything built for release.

use std::process::Command;

use anyhow::Result;

use crate::{
    build::{self, Profile},
    scratch::Scratch,
    setup::{self, Servers},
    step, test,
    workspace::Workspace,
};

/// The first of `args` when the origin is measured alone, on databases of its own.
const ORIGIN: &str = "origin";

/// Sets the machine up, builds for release and runs the benchmark with `args`.
///
/// # Errors
/// Fails with one sentence that names the step that failed.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let machine = setup::machine(workspace)?;
    setup::worker(workspace, &machine)?;
    step::headed("Release builds (cargo build)", || build::release_programs(workspace))?;
    let mut command = Command::new(workspace.binary(Profile::Release.folder(), build::BENCH));
    command.args(args).current_dir(workspace.root());
    test::set_part_vars(workspace, &machine, Profile::Release, &mut command);
    if args.first().is_some_and(|what| what == ORIGIN) {
        Servers::ensure(workspace)?.set_vars(&mut command);
    }
    let scratch = Scratch::make()?;
    scratch.set_vars(&mut command);
    step::shown("The benchmark", &mut command)
}
