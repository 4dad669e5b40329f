//! Counts the bytes that the user objects of this isolate hold in memory. `shared::limits::memory` says how many they may.

use std::cell::Cell;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Returns the number of bytes that the user objects of this isolate hold.
pub fn held_bytes() -> usize {
    HELD.get()
}

/// A number of held bytes, counted as long as this value lives.
#[derive(Debug, Default)]
pub struct HeldBytes(usize);

impl HeldBytes {
    /// Counts so many bytes instead of those before.
    pub fn set(&mut self, bytes: usize) {
        HELD.set(HELD.get().saturating_sub(self.0).saturating_add(bytes));
        self.0 = bytes;
    }

    /// Returns the number of counted bytes.
    pub const fn bytes(&self) -> usize {
        self.0
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.set(0);
    }
}
