//! `edgechat`: the origin's process. Everything is in the library; see `edgechat --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    edgechat_origin::cli::run()
}
