//! Makes the Worker's two files, `index.js` and `index_bg.wasm`, out of the compiled edge crate.
//!
//! wasm-bindgen, used as a library, writes the bindings between JavaScript and WASM. wasm-opt, if it is asked for, makes the
//! WASM faster. esbuild puts the bindings, the JavaScript of the crates and the Worker's entry into one file. Both tools are
//! found on `PATH`. This is a program of its own so that `cargo xtask` starts without compiling wasm-bindgen, and so that the
//! edge's image is built without the rest of `xtask`.

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::{Bindgen, Output};

const USAGE: &str = "usage: edgechat-bundle WASM ENTRY OUT [--optimize]\n\
                     the compiled edge crate, the Worker's entry, the folder of the two files";

/// The two files of the Worker.
const SCRIPT: &str = "index.js";
const MODULE: &str = "index_bg.wasm";
/// The copy of the entry that esbuild begins with: beside the bindings that it imports.
const ENTRY: &str = "entry.js";

fn main() -> Result<()> {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let (wasm, entry, out, is_optimized) = match args.as_slice() {
        [wasm, entry, out] => (wasm, entry, out, false),
        [wasm, entry, out, flag] if flag == "--optimize" => (wasm, entry, out, true),
        _ => bail!(USAGE),
    };
    bundle(wasm.as_ref(), entry.as_ref(), out.as_ref(), is_optimized)
}

/// Writes the two files to `out`.
///
/// # Errors
/// Fails when a file cannot be read or written, and when a tool refuses what it is given.
fn bundle(wasm: &Path, entry: &Path, out: &Path, is_optimized: bool) -> Result<()> {
    let staging = wasm.with_extension("bundle");
    if staging.exists() {
        fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
    }
    let mut bindings = bindings(wasm)?;
    strip_hashes(&mut bindings);
    bindings.emit(&staging).with_context(|| format!("cannot write to {}", staging.display()))?;
    if is_optimized {
        optimize(&staging)?;
    }
    fs::copy(entry, staging.join(ENTRY)).with_context(|| format!("cannot copy {}", entry.display()))?;
    join_scripts(&staging)?;
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    for file in [SCRIPT, MODULE] {
        fs::copy(staging.join(file), out.join(file))
            .with_context(|| format!("cannot write {}", out.join(file).display()))?;
    }
    fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))
}

/// Returns the module with its bindings. After a panic or a trap the next call from JavaScript makes a new instance: that is
/// what the last two settings are for, and the hook that the crate `worker` sets.
fn bindings(wasm: &Path) -> Result<Output> {
    let mut bindgen = Bindgen::new();
    bindgen
        .module(true)?
        .input_path(wasm)
        .out_name("index")
        .typescript(false)
        .reset_state_function(true)
        .force_enable_abort_handler(true);
    bindgen.generate_output().with_context(|| format!("wasm-bindgen refuses {}", wasm.display()))
}

/// Removes the hashes from the names of functions, which a stack trace shows. They tell a reader nothing, and compressing
/// shortens all of a name but them.
fn strip_hashes(bindings: &mut Output) {
    for name in bindings.wasm_mut().funcs.iter_mut().filter_map(|function| function.name.as_mut()) {
        *name = without_hash(name);
    }
}

/// Returns a symbol's name without its hash, `::h` and 16 digits, at the end or before a note of wasm-bindgen's.
fn without_hash(name: &str) -> String {
    const MARK: &str = "::h";
    const DIGITS: usize = 16;
    let mut parts = name.split(MARK);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hash = part.split(' ').next().unwrap_or_default();
        if hash.len() == DIGITS && hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            kept.extend(part.get(DIGITS..));
        } else {
            kept.extend([MARK, part]);
        }
    }
    kept
}

/// Optimizes [`MODULE`] for speed, and keeps the names of functions. Which features of WASM it may use stands in the module,
/// but for the exceptions that wasm-bindgen has added.
fn optimize(folder: &Path) -> Result<()> {
    let args = [MODULE, "-o", MODULE, "-O3", "--debuginfo", "--enable-exception-handling"];
    run("wasm-opt", &args, folder)
}

/// Puts all JavaScript into [`SCRIPT`]. What only the platform knows stays an import.
fn join_scripts(folder: &Path) -> Result<()> {
    let outfile = ["--outfile=", SCRIPT].concat();
    let args = [
        ENTRY,
        "--bundle",
        "--minify",
        "--format=esm",
        "--external:./index_bg.wasm",
        "--allow-overwrite",
        "--log-level=warning",
        "--log-override:import-is-undefined=error",
        &outfile,
    ];
    run("esbuild", &args, folder)?;
    let script = folder.join(SCRIPT);
    let text = fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))?;
    // workerd and wrangler make a module of a plain import, and know no source phase.
    fs::write(&script, text.replace("import source ", "import "))
        .with_context(|| format!("cannot write {}", script.display()))
}

fn run(program: &str, args: &[&str], folder: &Path) -> Result<()> {
    let status = Command::new(program)
        .args(args)
        .current_dir(folder)
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{program} failed ({status})");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_hash_loses_the_hash_alone() {
        for (name, kept) in [
            ("a::hash::b::h0123456789abcdef", "a::hash::b"),
            ("<T as a::B>::c::h0123456789abcdef catch wrapper", "<T as a::B>::c catch wrapper"),
            ("a::h0123456789abcdef::b", "a::h0123456789abcdef::b"),
            ("a::h0123456789abcdeg", "a::h0123456789abcdeg"),
            ("a::h01", "a::h01"),
            ("memcpy", "memcpy"),
        ] {
            assert_eq!(without_hash(name), kept);
        }
    }
}
