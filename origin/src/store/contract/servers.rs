//! The servers that suites run on. `cargo xtask test` starts them and names them in the environment.

/// The address of a server.
///
/// # Panics
/// Panics when the environment names none: a suite that cannot run fails.
pub(super) fn url(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run this suite by `cargo xtask test`"))
}

/// A name that no other case has, for its database or its keys.
pub(super) fn unique_name() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    format!("edgechat_test_{:016x}", u64::from_be_bytes(bytes))
}
