//! Child processes that cannot outlive this one.

pub(crate) mod guard;
pub(crate) mod interrupt;
pub(crate) mod part;
pub(crate) mod program;

pub(crate) use guard::Guarded;
