//! The tables: one line per figure, the reference's beside the Worker's, and the design's target.

use std::fmt;

use super::{figures::Rounds, saturation::Loads};

/// The design's target for a figure.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// No target; the figure is reported.
    None,
    /// At most so many times the reference's.
    TimesAtMost(f64),
    /// At least so many times the reference's.
    TimesAtLeast(f64),
    /// At most so much more than the reference's, in the figure's unit.
    MoreByAtMost(f64),
    /// At most so much, in the figure's unit.
    AtMost(f64),
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The name of the figure.
    pub(super) name: String,
    /// Its unit.
    pub(super) unit: &'static str,
    /// The reference's figures, one a round; empty where it has none.
    pub(super) baseline: Rounds,
    /// The Worker's figures, one a round; empty where this machine does not have them.
    pub(super) worker: Rounds,
    /// The target.
    pub(super) target: Target,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.worker.median() / self.baseline.median()
    }

    fn more(&self) -> f64 {
        self.worker.median() - self.baseline.median()
    }

    fn comparison(&self) -> String {
        if self.baseline.is_empty() || self.worker.is_empty() {
            return "–".to_owned();
        }
        if let Target::MoreByAtMost(_) = self.target {
            let each = self.worker.with(&self.baseline, |worker, baseline| worker - baseline);
            format!("{} {} more", with_spread(self.more(), &each), self.unit)
        } else {
            let each = self.worker.with(&self.baseline, |worker, baseline| worker / baseline);
            format!("{} ×", with_spread(self.ratio(), &each))
        }
    }

    fn target(&self) -> String {
        let wanted = match self.target {
            Target::None => return "–".to_owned(),
            Target::TimesAtMost(most) => format!("≤ {most:.2} ×"),
            Target::TimesAtLeast(least) => format!("≥ {least:.2} ×"),
            Target::MoreByAtMost(most) => format!("≤ {most} {} more", self.unit),
            Target::AtMost(most) => format!("≤ {most} {}", self.unit),
        };
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        format!("{wanted}: {verdict}")
    }

    /// Returns true when the target is met; `None` where a figure is missing.
    fn is_met(&self) -> Option<bool> {
        let is_alone = matches!(self.target, Target::None | Target::AtMost(_));
        if self.worker.is_empty() || (!is_alone && self.baseline.is_empty()) {
            return None;
        }
        match self.target {
            Target::None => None,
            Target::TimesAtMost(most) => Some(self.ratio() <= most),
            Target::TimesAtLeast(least) => Some(self.ratio() >= least),
            Target::MoreByAtMost(most) => Some(self.more() <= most),
            Target::AtMost(most) => Some(self.worker.median() <= most),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |rounds: &Rounds| {
            if rounds.is_empty() { "–".to_owned() } else { with_spread(rounds.median(), rounds) }
        };
        let Self { name, unit, baseline, worker, .. } = self;
        let (baseline, worker) = (cell(baseline), cell(worker));
        write!(f, "| {name}, {unit} | {baseline} | {worker} | {} | {} |", self.comparison(), self.target())
    }
}

/// Figures compared with one reference.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// The subject of its figures.
    pub(super) title: String,
    /// The reference, as the header of its column.
    pub(super) baseline: &'static str,
    /// The figures.
    pub(super) rows: Vec<Row>,
    /// The reasons for missing figures, a sentence each.
    pub(super) notes: Vec<String>,
    /// The load of all processes meanwhile.
    pub(super) loads: Vec<Loads>,
}

impl Section {
    /// A section without figures.
    pub(super) fn new(title: &str, baseline: &'static str) -> Self {
        let (rows, notes, loads) = (Vec::new(), Vec::new(), Vec::new());
        Self { title: title.to_owned(), baseline, rows, notes, loads }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, baseline, rows, notes, .. } = self;
        writeln!(f, "**{title}**\n")?;
        writeln!(f, "| figure | {baseline} | Worker | compared | target |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        if !notes.is_empty() {
            writeln!(f)?;
        }
        notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// Formats a figure with the smallest and the largest of its rounds.
pub(super) fn with_spread(figure: f64, rounds: &Rounds) -> String {
    let (least, most) = rounds.spread();
    let (figure, least, most) = (short(figure), short(least), short(most));
    if least == most { figure } else { format!("{figure} ({least}–{most})") }
}

/// Formats a figure with three significant digits.
fn short(figure: f64) -> String {
    match figure.abs() {
        0.0..0.995 => format!("{figure:.3}"),
        0.995..9.995 => format!("{figure:.2}"),
        9.995..99.95 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn row(baseline: &[f64], worker: &[f64], target: Target) -> Row {
        let rounds = |figures: &[f64]| figures.iter().copied().collect();
        let name = "a call".to_owned();
        Row { name, unit: "ms", baseline: rounds(baseline), worker: rounds(worker), target }
    }

    #[rstest]
    #[case(Target::None, "| a call, ms | 2.00 (1.00–4.00) | 3.00 | 1.50 (0.750–3.00) × | – |")]
    #[case(
        Target::TimesAtMost(1.5),
        "| a call, ms | 2.00 (1.00–4.00) | 3.00 | 1.50 (0.750–3.00) × | ≤ 1.50 ×: met |"
    )]
    #[case(
        Target::TimesAtMost(1.4),
        "| a call, ms | 2.00 (1.00–4.00) | 3.00 | 1.50 (0.750–3.00) × | ≤ 1.40 ×: missed |"
    )]
    #[case(
        Target::TimesAtLeast(1.6),
        "| a call, ms | 2.00 (1.00–4.00) | 3.00 | 1.50 (0.750–3.00) × | ≥ 1.60 ×: missed |"
    )]
    #[case(
        Target::MoreByAtMost(1.0),
        "| a call, ms | 2.00 (1.00–4.00) | 3.00 | 1.00 (-1.00–2.00) ms more | ≤ 1 ms more: met |"
    )]
    fn row_has_both_sides_and_target(#[case] target: Target, #[case] line: &str) {
        assert_eq!(row(&[1.0, 2.0, 4.0], &[3.0, 3.0, 3.0], target).to_string(), line);
    }

    #[test]
    fn figure_without_reference_stands_alone() {
        let line = row(&[], &[12.34], Target::AtMost(12.0)).to_string();
        assert_eq!(line, "| a call, ms | – | 12.3 | – | ≤ 12 ms: missed |");
    }

    #[test]
    fn figure_that_is_missing_meets_no_target() {
        let line = row(&[], &[], Target::AtMost(12.0)).to_string();
        assert_eq!(line, "| a call, ms | – | – | – | ≤ 12 ms: not measured |");
        let line = row(&[], &[1.0], Target::TimesAtMost(1.5)).to_string();
        assert_eq!(line, "| a call, ms | – | 1.00 | – | ≤ 1.50 ×: not measured |");
    }

    #[test]
    fn section_ends_with_its_notes() {
        let mut section = Section::new("Calls", "proxy baseline");
        section.rows.push(row(&[1.0], &[2.0], Target::None));
        section.notes.push("Nothing is missing.".to_owned());
        assert_eq!(
            section.to_string(),
            "**Calls**\n\n| figure | proxy baseline | Worker | compared | target |\n|---|---|---|---|---|\n\
             | a call, ms | 1.00 | 2.00 | 2.00 × | – |\n\nNothing is missing.\n"
        );
    }
}
