//! The figures of both configurations side by side.

use std::fmt;

use crate::bench::{figures::Rounds, report::with_spread};

/// One figure of one configuration.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    what: &'static str,
    unit: &'static str,
    rounds: Rounds,
}

impl Figure {
    pub(super) fn new(what: &'static str, unit: &'static str, rounds: Rounds) -> Self {
        Self { what, unit, rounds }
    }
}

/// The figures of one choice of stores.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    pub(super) name: &'static str,
    pub(super) stores: String,
    pub(super) figures: Vec<Figure>,
}

/// All figures, as Markdown.
#[derive(Clone, Debug)]
pub struct Table {
    /// The machine and the date.
    pub(super) machine: String,
    /// The columns.
    pub(super) configurations: Vec<Configuration>,
}

impl Table {
    /// Returns the name and unit of every figure of any configuration, in order.
    fn lines(&self) -> Vec<(&'static str, &'static str)> {
        let mut lines = Vec::new();
        for figure in self.configurations.iter().flat_map(|configuration| &configuration.figures) {
            let line = (figure.what, figure.unit);
            if !figure.rounds.is_empty() && !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }
}

impl Configuration {
    fn cell(&self, line: (&str, &str)) -> String {
        let found = self.figures.iter().find(|figure| (figure.what, figure.unit) == line);
        match found {
            Some(figure) if !figure.rounds.is_empty() => with_spread(figure.rounds.median(), &figure.rounds),
            _ => "–".to_owned(),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.machine)?;
        for Configuration { name, stores, .. } in &self.configurations {
            writeln!(f, "- *{name}*: {stores}")?;
        }
        let names = self.configurations.iter().map(|configuration| configuration.name);
        writeln!(f, "\n| figure | {} |", names.collect::<Vec<_>>().join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(self.configurations.len()))?;
        for line in self.lines() {
            let cells = self.configurations.iter().map(|configuration| configuration.cell(line));
            let (what, unit) = line;
            writeln!(f, "| {what}, {unit} | {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_stand_side_by_side() {
        let figure = |what, rounds: &[f64]| Figure::new(what, "ms", rounds.iter().copied().collect());
        let configuration =
            |name, figures| Configuration { name, stores: format!("stores of {name}"), figures };
        let table = Table {
            machine: "here".to_owned(),
            configurations: vec![
                configuration("embedded", vec![figure("a", &[1.0, 3.0, 2.0]), figure("b", &[])]),
                configuration("production", vec![figure("c", &[4.0])]),
            ],
        };
        let expected = "here\n\n- *embedded*: stores of embedded\n- *production*: stores of production\n\n\
                        | figure | embedded | production |\n|---|---|---|\n\
                        | a, ms | 2.00 (1.00–3.00) | – |\n| c, ms | – | 4.00 |\n";
        assert_eq!(table.to_string(), expected);
    }
}
