//! Everything a fresh machine lacks. Each part looks first and does nothing when nothing is missing.

mod apt;
mod checksums;
mod clients;
mod compiler;
mod files;
mod node;
mod package;
mod servers;
mod wasm;
mod wasm_source;
mod worker;

pub(crate) use clients::Clients;
pub(crate) use node::Node;
pub(crate) use servers::Servers;
pub(crate) use worker::Optimization;

use anyhow::Result;

use self::worker::Worker;
use crate::{
    build,
    step::{self, Background, Steps},
    workspace::Workspace,
};

/// Times of the steps of a first start, as measured on two cores, for people who wait.
const TARGET_TAKES: &str = "40 s where rustup cannot download";
const NODE_TAKES: &str = "20 s";
const WORKER_TAKES: &str = "100 s beside the next step";
const PROGRAMS_TAKE: &str = "250 s";

/// The set-up machine, for later steps.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The Node packages, and the Node that runs them.
    pub(crate) node: Node,
}

/// Sets the machine up: the wasm target and the Node packages.
///
/// # Errors
/// Fails with one sentence that names what is missing and the remedy.
pub(crate) fn machine(workspace: &Workspace) -> Result<Machine> {
    wasm::ensure(workspace)?;
    Ok(Machine { node: Node::ensure(workspace)? })
}

/// Builds the Worker into `edge/build`, unless what is there was built from the same sources.
///
/// # Errors
/// Fails when a tool does, whose log is then named.
pub(crate) fn worker(workspace: &Workspace, machine: &Machine) -> Result<()> {
    Worker::of(workspace, Optimization::Full)?.ensure(&machine.node)
}

/// Sets the machine up and builds the Worker and these programs (all, if none is named), what need not wait for each other at
/// once. The headlines count `more` steps that the caller goes on with.
///
/// # Errors
/// Fails as [`machine`] and [`worker()`] do, and when the programs do not compile.
pub(crate) fn everything(
    workspace: &Workspace,
    optimization: Optimization,
    programs: &[&str],
    more: usize,
) -> Result<(Machine, Steps)> {
    let (node, worker) = (Node::find(workspace)?, Worker::of(workspace, optimization)?);
    let (has_target, is_installed, is_built) =
        (wasm::is_there(workspace)?, node.is_installed(), worker.is_built()?);
    let missing = [has_target, is_installed, is_built].iter().filter(|there| !**there).count();
    let mut steps = Steps::new(missing + 1 + more);
    if !has_target {
        steps.headline("wasm32 target", Some(TARGET_TAKES));
        wasm::ensure(workspace)?;
    }
    let mut others = Vec::new();
    if !is_installed {
        steps.headline(node::TITLE, Some(NODE_TAKES));
        others.push(Background::start(node::TITLE, &mut node.installation()?, node.log())?);
    }
    if !is_built {
        steps.headline(worker::TITLE, Some(WORKER_TAKES));
        others.push(Background::start(worker::TITLE, &mut worker.compilation(), worker.log())?);
    }
    let is_first = !workspace.binary(build::Profile::Debug.folder(), build::ORIGIN).exists();
    steps.headline(build::TITLE, is_first.then_some(PROGRAMS_TAKE));
    step::timed(build::TITLE, || {
        step::shown_beside(build::TITLE, &mut build::programs(workspace, programs), &mut others)
    })?;
    others.into_iter().try_for_each(Background::finish)?;
    if !is_installed {
        node.record()?;
    }
    if !is_built {
        worker.bundle(&node)?;
    }
    Ok((Machine { node }, steps))
}
