//! `edgechat`: the origin's process. Everything is in the library; see `edgechat --help`.

use std::process::ExitCode;

/// Gives the 19 MiB that hashing a password takes back to the system. The system's own allocator keeps them, for every
/// thread that ever hashed one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    edgechat_origin::cli::run()
}
