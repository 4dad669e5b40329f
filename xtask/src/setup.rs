//! Everything a fresh machine lacks. Each part looks first and does nothing when nothing is missing.

mod apt;
mod checksums;
mod clients;
mod files;
mod node;
mod servers;
mod tools;
mod wasm;
mod wasm_source;
mod worker;

pub(crate) use clients::Clients;
pub(crate) use node::Node;
pub(crate) use servers::Servers;

use anyhow::Result;

use crate::workspace::Workspace;

/// The set-up machine: what later steps need to know about it.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The Node packages, and the Node that runs them.
    pub(crate) node: Node,
}

/// Sets the machine up: the wasm target, the Node packages, the Worker's build tools.
///
/// # Errors
/// One sentence that names what is missing and the remedy.
pub(crate) fn machine(workspace: &Workspace) -> Result<Machine> {
    wasm::ensure(workspace)?;
    let node = Node::ensure(workspace)?;
    tools::ensure(workspace)?;
    Ok(Machine { node })
}

/// Builds the Worker into `edge/build`, unless what is there was built from the same sources.
pub(crate) fn worker(workspace: &Workspace, machine: &Machine) -> Result<()> {
    worker::ensure(workspace, &machine.node)
}
