//! Parsing of single variables, which collects all problems, so that one start names each.

use std::{fmt, ops::RangeInclusive};

use super::vars::Vars;

/// A variable that cannot be used: `VARIABLE: what it held; what it should hold`. Never the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub variable: &'static str,
    /// The value it held, described where it may be secret.
    pub held: String,
    /// The value it should hold.
    pub wanted: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.variable, self.held, self.wanted)
    }
}

/// Reads variables for the sections and collects their problems.
pub struct Reader<'a> {
    vars: &'a Vars,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Creates a reader of these variables.
    pub fn new(vars: &'a Vars) -> Self {
        Self { vars, problems: Vec::new() }
    }

    /// Returns the problems of everything read so far.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Returns the value of a variable, if it is set.
    pub fn text(&self, variable: &str) -> Option<&'a str> {
        self.vars.get(variable)
    }

    /// Records that a variable cannot be used; `held` is shown unchanged.
    pub fn wrong(&mut self, variable: &'static str, held: impl Into<String>, wanted: impl Into<String>) {
        self.problems.push(Problem { variable, held: held.into(), wanted: wanted.into() });
    }

    /// Reads a whole number within bounds.
    pub fn number(&mut self, variable: &'static str, default: u64, bounds: RangeInclusive<u64>) -> u64 {
        let Some(text) = self.text(variable) else { return default };
        match text.parse::<u64>() {
            Ok(number) if bounds.contains(&number) => number,
            _ => {
                let wanted = format!(
                    "it should hold a whole number from {} to {} (default {default})",
                    bounds.start(),
                    bounds.end()
                );
                self.wrong(variable, quoted(text), wanted);
                default
            }
        }
    }

    /// Reads `true` or `false`, or one of their synonyms.
    pub fn flag(&mut self, variable: &'static str, default: bool) -> bool {
        let Some(text) = self.text(variable) else { return default };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.wrong(
                    variable,
                    quoted(text),
                    format!("it should hold true or false (default {default})"),
                );
                default
            }
        }
    }
}

/// Formats a value that is not secret for a problem.
pub fn quoted(text: &str) -> String {
    format!("held {text:?}")
}

/// Formats a secret for a problem: its length only.
pub fn masked(text: &str) -> String {
    match text.chars().count() {
        1 => "held a secret of 1 character".to_owned(),
        count => format!("held a secret of {count} characters"),
    }
}

/// The text for a variable that is not set.
pub const UNSET: &str = "not set";
