//! The size of the Worker, which every location has to load.

use std::{env, fs, io::Read, path::PathBuf};

use flate2::{Compression, read::GzEncoder};

use crate::bench::{
    figures::Rounds,
    report::{Row, Section, Target},
};

const MIB: f64 = 1_048_576.0;

pub(super) fn measure() -> Section {
    let build = env::var_os("EDGECHAT_EDGE_BUILD").map(PathBuf::from).expect("EDGECHAT_EDGE_BUILD names it");
    let file = build.join("index_bg.wasm");
    let wasm = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut packed = Vec::new();
    GzEncoder::new(&wasm[..], Compression::best()).read_to_end(&mut packed).expect("memory to pack it in");
    let row = |name: &str, bytes: &[u8], target| Row {
        name: name.to_owned(),
        unit: "MiB",
        baseline: Rounds::default(),
        worker: [mib(bytes)].into_iter().collect(),
        target,
    };
    let mut section = Section::new("Size", "baseline");
    section.rows.extend([
        row("WASM", &wasm, Target::None),
        row("WASM, compressed by gzip", &packed, Target::AtMost(1.0)),
    ]);
    section
}

#[expect(clippy::cast_precision_loss, reason = "nothing of 2^52 bytes is built here")]
fn mib(bytes: &[u8]) -> f64 {
    bytes.len() as f64 / MIB
}
