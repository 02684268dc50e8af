//! The table: what each guest needed, how they compare, what was to be reached, and who wins.

use comfy_table::{CellAlignment, Table, presets};

use super::figure::{Better, Figure};
use super::guest::Kind;
use super::record::{Record, Settings};
use super::statistics::Summary;
use super::workload::{Target, Workload};

/// A difference smaller than this is none.
const EVEN: f64 = 0.02;
/// The workload that slopes are measured against.
const SLOPE_BASE: &str = "connections-32";

/// Returns the settings and the table as text.
#[must_use]
pub(super) fn render(record: &Record) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);

    table.set_header([
        "workload",
        "figure",
        "ours",
        "Linux",
        "ours / Linux [min..max]",
        "to reach",
        "who wins",
    ]);
    for column in [2, 3, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for name in record.workloads() {
        let Ok(workload) = name.parse::<Workload>() else { continue };
        for (index, figure) in record.figures(name).into_iter().enumerate() {
            let shown = if index == 0 { name } else { "" };
            table.add_row(row(record, workload, shown, figure));
        }
    }
    format!("{}\n{table}\n{}", describe(&record.settings), problems(record))
}

fn row(record: &Record, workload: Workload, shown: &str, figure: Figure) -> [String; 7] {
    let name = workload.to_string();
    let of = |guest| record.summary(&name, guest, figure).map_or("-".to_owned(), |it| number(it.median));
    let ratio = record.ratio(&name, figure);
    [
        shown.to_owned(),
        figure.label(workload),
        of(Kind::Ours),
        of(Kind::Linux),
        ratio.map_or("-".to_owned(), |it| {
            format!("{} [{}..{}]", short(it.median), short(it.least), short(it.greatest))
        }),
        workload
            .target(figure)
            .map_or(String::new(), |target| judge_target(record, workload, figure, target)),
        verdict(record, &name, figure, ratio).to_owned(),
    ]
}

/// Says what was to be reached and whether it was.
fn judge_target(record: &Record, workload: Workload, figure: Figure, target: Target) -> String {
    let ours = |name: &str| record.summary(name, Kind::Ours, figure).map(|it| it.median);
    let name = workload.to_string();
    let ratio = record.ratio(&name, figure).map(|it| it.median);
    let (text, is_reached) = match target {
        Target::AtMost(most) => (format!("<= {}", number(most)), ours(&name).map(|value| value <= most)),
        Target::RatioAtMost(most) => (format!("<= {most} x Linux"), ratio.map(|value| value <= most)),
        Target::RatioAtLeast(least) => (format!(">= {least} x Linux"), ratio.map(|value| value >= least)),
        Target::SlopeAtMost(most) => {
            let slope = ours(&name).zip(ours(SLOPE_BASE)).map(|(value, base)| value / base);
            let shown = slope.map_or(String::new(), |slope| format!(" ({slope:.2})"));
            (format!("<= {most} x own c32{shown}"), slope.map(|slope| slope <= most))
        }
    };
    match is_reached {
        Some(true) => format!("{text} yes"),
        Some(false) => format!("{text} NO"),
        None => text,
    }
}

/// Says who wins; a guest that could not do it at all has lost.
fn verdict(record: &Record, name: &str, figure: Figure, ratio: Option<Summary>) -> &'static str {
    let has = |guest| record.summary(name, guest, figure).is_some();
    match ratio {
        _ if !figure.is_judged() => "",
        Some(ratio) => winner(figure, ratio),
        None if has(Kind::Linux) && record.problem(name, Kind::Ours).is_some() => "LINUX",
        None if has(Kind::Ours) && record.problem(name, Kind::Linux).is_some() => "ours",
        None => "",
    }
}

fn winner(figure: Figure, ratio: Summary) -> &'static str {
    let gain = match figure.better() {
        Better::Less => 1.0 - ratio.median,
        Better::More => ratio.median - 1.0,
    };
    match gain {
        _ if gain.abs() <= EVEN => "even",
        _ if gain > 0.0 => "ours",
        _ => "LINUX",
    }
}

fn describe(settings: &Settings) -> String {
    let Settings { date, host, qemu, flags, network, offloads, linux, pairs, notes } = settings;
    let flags = flags.join(" ");
    let linux = linux.as_deref().unwrap_or("left out");
    let mut text = format!(
        "{date}, {host}\nQEMU {qemu}, both guests: {flags}\nnetwork: {network}; offloads {offloads}\nLinux guest: \
         {linux}\n{pairs} pairs, in turn; medians; ratios pair by pair\n"
    );
    for note in notes {
        text += &format!("note: {note}\n");
    }
    text
}

fn problems(record: &Record) -> String {
    let mut text = String::new();
    for name in record.workloads() {
        for (guest, title) in [(Kind::Ours, "ours"), (Kind::Linux, "Linux")] {
            if let Some(problem) = record.problem(name, guest) {
                text += &format!("{name}, {title}: no figure of some runs: {problem}\n");
            }
        }
    }
    text
}

/// Two decimals, and more where they would be zeros.
fn short(ratio: f64) -> String {
    match ratio {
        ratio if ratio < 0.01 => format!("{ratio:.4}"),
        ratio if ratio < 0.1 => format!("{ratio:.3}"),
        ratio => format!("{ratio:.2}"),
    }
}

/// Three significant digits, and groups of three in large numbers.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100_000_000.0 => format!("{:.0} M", value / 1e6),
        size if size >= 1_000_000.0 => format!("{:.2} M", value / 1e6),
        size if size >= 1000.0 => {
            format!("{} {:03.0}", (value / 1000.0).trunc(), (value % 1000.0).abs().trunc())
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.5, "0.50"),
            (12.34, "12.3"),
            (999.4, "999"),
            (1005.9, "1 005"),
            (17_000.0, "17 000"),
            (1.38e9, "1380 M"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn small_ratios_keep_their_digits() {
        assert_eq!([0.001_61, 0.056, 0.25, 7.634].map(short), ["0.0016", "0.056", "0.25", "7.63"]);
    }

    #[test]
    fn the_winner_is_named_whoever_it_is() {
        let ratio = |median| Summary { median, least: median, greatest: median };
        assert_eq!(winner(Figure::Instructions, ratio(0.5)), "ours");
        assert_eq!(winner(Figure::Instructions, ratio(1.5)), "LINUX");
        assert_eq!(winner(Figure::Rate, ratio(1.5)), "ours");
        assert_eq!(winner(Figure::Rate, ratio(0.5)), "LINUX");
        assert_eq!(winner(Figure::Rate, ratio(1.01)), "even");
    }
}
