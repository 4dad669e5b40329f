//! Headers of a request or a response, passed between JavaScript and WASM in one string.

use worker::Result;

/// Headers, one line a name and one a value.
#[derive(Clone, Debug, Default)]
pub struct HeaderLines(String);

impl HeaderLines {
    /// Adds a header. Of two with the same name, both are sent in a request; in a response the second wins.
    ///
    /// # Errors
    /// Fails when the value has a line break (RFC 9110, section 5.5).
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        if value.contains(['\n', '\r', '\0']) {
            return Err(worker::Error::RustError(format!("the value of {name} has a line break")));
        }
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.extend([name, "\n", value]);
        Ok(())
    }

    /// Creates headers from lines that [`Self::as_str`] returned.
    pub const fn from_lines(lines: String) -> Self {
        Self(lines)
    }

    /// Returns the lines.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text that JavaScript passes for an absent header.
const ABSENT: &str = "\r";

/// The values of the wanted headers.
#[derive(Debug)]
pub(super) struct HeaderValues {
    names: &'static [&'static str],
    /// One value a line, in the order of the names.
    values: String,
}

impl HeaderValues {
    /// Creates the values from the lines that JavaScript passed.
    pub(super) const fn new(names: &'static [&'static str], values: String) -> Self {
        Self { names, values }
    }

    /// Returns a header; `None` when it is absent or was not wanted.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let values = self.values.split('\n');
        let value = self.names.iter().zip(values).find(|(known, _)| known.eq_ignore_ascii_case(name))?.1;
        (value != ABSENT).then_some(value)
    }
}
