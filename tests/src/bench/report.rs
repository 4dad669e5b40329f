//! The table: one line a figure, the floor's beside the Worker's, and what the design wants.

use std::fmt;

use super::figures::Rounds;

/// What the design wants of a figure.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// Nothing; the figure is told.
    None,
    /// At most so many times the floor's.
    TimesAtMost(f64),
    /// At least so many times the floor's.
    TimesAtLeast(f64),
    /// At most so much more than the floor's, in the figure's unit.
    MoreByAtMost(f64),
    /// At most so much, in the figure's unit.
    AtMost(f64),
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What was measured.
    pub(super) name: &'static str,
    /// Its unit.
    pub(super) unit: &'static str,
    /// The floor's figures, one a round; empty where the floor has none.
    pub(super) floor: Rounds,
    /// The Worker's figures, one a round.
    pub(super) worker: Rounds,
    /// What the design wants.
    pub(super) target: Target,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.worker.median() / self.floor.median()
    }

    fn more(&self) -> f64 {
        self.worker.median() - self.floor.median()
    }

    fn comparison(&self) -> String {
        if self.floor.is_empty() {
            return "–".to_owned();
        }
        if let Target::MoreByAtMost(_) = self.target {
            let each = self.worker.with(&self.floor, |worker, floor| worker - floor);
            format!("{} {} more", with_spread(self.more(), &each), self.unit)
        } else {
            let each = self.worker.with(&self.floor, |worker, floor| worker / floor);
            format!("{} ×", with_spread(self.ratio(), &each))
        }
    }

    fn target(&self) -> String {
        let (wanted, met) = match self.target {
            Target::None => return "–".to_owned(),
            Target::TimesAtMost(most) => (format!("≤ {most:.2} ×"), self.ratio() <= most),
            Target::TimesAtLeast(least) => (format!("≥ {least:.2} ×"), self.ratio() >= least),
            Target::MoreByAtMost(most) => (format!("≤ {most} {} more", self.unit), self.more() <= most),
            Target::AtMost(most) => (format!("≤ {most} {}", self.unit), self.worker.median() <= most),
        };
        format!("{wanted}: {}", if met { "met" } else { "missed" })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |rounds: &Rounds| {
            if rounds.is_empty() { "–".to_owned() } else { with_spread(rounds.median(), rounds) }
        };
        let Self { name, unit, floor, worker, .. } = self;
        let (floor, worker) = (cell(floor), cell(worker));
        write!(f, "| {name}, {unit} | {floor} | {worker} | {} | {} |", self.comparison(), self.target())
    }
}

/// Everything that was measured, as Markdown.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where and when.
    pub(super) machine: String,
    /// The figures.
    pub(super) rows: Vec<Row>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.machine)?;
        writeln!(f, "| figure | floor | Worker | Worker to floor | target |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        // A figure that this system does not tell has no line.
        for row in self.rows.iter().filter(|row| !row.worker.is_empty()) {
            writeln!(f, "{row}")?;
        }
        Ok(())
    }
}

/// A figure with the smallest and the largest that were measured.
pub(super) fn with_spread(figure: f64, rounds: &Rounds) -> String {
    let (least, most) = rounds.spread();
    let (figure, least, most) = (short(figure), short(least), short(most));
    if least == most { figure } else { format!("{figure} ({least}–{most})") }
}

/// Three digits that matter.
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

    fn row(floor: &[f64], worker: &[f64], target: Target) -> Row {
        let rounds = |figures: &[f64]| figures.iter().copied().collect();
        Row { name: "a call", unit: "ms", floor: rounds(floor), worker: rounds(worker), target }
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
    fn a_line_tells_both_sides_and_the_target(#[case] target: Target, #[case] line: &str) {
        assert_eq!(row(&[1.0, 2.0, 4.0], &[3.0, 3.0, 3.0], target).to_string(), line);
    }

    #[test]
    fn a_figure_without_a_floor_stands_alone() {
        let line = row(&[], &[12.34], Target::AtMost(12.0)).to_string();
        assert_eq!(line, "| a call, ms | – | 12.3 | – | ≤ 12 ms: missed |");
    }

    #[test]
    fn a_figure_that_is_not_told_has_no_line() {
        let report = Report { machine: "here".to_owned(), rows: vec![row(&[], &[], Target::None)] };
        assert!(!report.to_string().contains("a call"));
    }
}
