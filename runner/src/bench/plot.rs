//! Draws the two figures that decide, instructions and CPU time an operation, both guests side by side.
//!
//! The scale is logarithmic: what is compared spans five orders, and equal distances are equal ratios. A bar is the
//! median, the line in it reaches from the least run to the greatest.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, ChartBuilder, Color, DrawingArea, IntoDrawingArea, IntoLogRange, PathElement, RGBColor, Rectangle,
    SVGBackend, Text, WHITE,
};

use super::BenchError;
use super::figure::Figure;
use super::guest::Kind;
use super::record::Record;
use super::statistics::Summary;

const WIDTH: u32 = 1200;
/// Height of a workload's bars, and of title and axis together, in pixels.
const ROW_HEIGHT: u32 = 36;
const FRAME_HEIGHT: u32 = 130;
const FONT: &str = "sans-serif";
const FONT_SIZE: i32 = 14;
const NAME_WIDTH: u32 = 150;
const MARGIN: i32 = 12;
/// Where a guest's bar lies in its row, from the top, as shares of the row.
const OURS_BAR: (f64, f64) = (0.12, 0.48);
const LINUX_BAR: (f64, f64) = (0.52, 0.88);
const OURS_COLOR: RGBColor = RGBColor(0x1b, 0x6c, 0xa8);
const LINUX_COLOR: RGBColor = RGBColor(0xb0, 0xb0, 0xb0);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One workload's bars.
struct Row {
    name: String,
    bars: Vec<(Kind, Summary)>,
}

/// Writes the plot as SVG.
pub(super) fn draw(record: &Record, path: &Path) -> Result<(), BenchError> {
    try_draw(record, path).map_err(|error| BenchError::Plot(error.to_string()))
}

fn try_draw(record: &Record, path: &Path) -> Result<(), Box<dyn Error>> {
    let panels = [
        (Figure::Instructions, "guest instructions an operation"),
        (Figure::CpuTime, "QEMU CPU microseconds an operation"),
    ]
    .map(|(figure, title)| (rows(record, figure), title));
    let most = panels.iter().map(|(rows, _)| rows.len()).max().unwrap_or(0);
    let height = FRAME_HEIGHT + ROW_HEIGHT * u32::try_from(most)?;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let settings = &record.settings;
    let title = format!("ours (blue) and stock Linux (grey), QEMU {} TCG, {}", settings.qemu, settings.date);
    let root = root.titled(&title, (FONT, 18))?;
    for (area, (rows, title)) in root.split_evenly((1, panels.len())).iter().zip(&panels) {
        draw_panel(area, title, rows)?;
    }
    root.present()?;
    Ok(())
}

fn rows(record: &Record, figure: Figure) -> Vec<Row> {
    let row = |name: &str| {
        let bar = |kind| Some((kind, record.summary(name, kind, figure).filter(|it| it.least > 0.0)?));
        let bars: Vec<_> = [Kind::Ours, Kind::Linux].into_iter().filter_map(bar).collect();
        (!bars.is_empty()).then(|| Row { name: name.to_owned(), bars })
    };
    record.workloads().into_iter().filter_map(row).collect()
}

fn draw_panel(area: &Area<'_>, title: &str, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let Some((least, greatest)) = bounds(rows) else { return Ok(()) };
    #[expect(clippy::cast_precision_loss, reason = "there are some twenty rows")]
    let depth = rows.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 16))
        .margin(MARGIN)
        .x_label_area_size(32)
        .y_label_area_size(NAME_WIDTH)
        .build_cartesian_2d((least..greatest).log_scale(), depth..0.0)?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().x_label_formatter(&label).draw()?;
    for (row, top) in rows.iter().zip((0_u32..).map(f64::from)) {
        for (kind, summary) in &row.bars {
            let (from, to, color) = match kind {
                Kind::Ours => (top + OURS_BAR.0, top + OURS_BAR.1, OURS_COLOR),
                Kind::Linux => (top + LINUX_BAR.0, top + LINUX_BAR.1, LINUX_COLOR),
            };
            let middle = f64::midpoint(from, to);
            let spread = vec![(summary.least, middle), (summary.greatest, middle)];
            chart.draw_series([Rectangle::new([(least, from), (summary.median, to)], color.filled())])?;
            chart.draw_series([PathElement::new(spread, BLACK)])?;
        }
        let (_, y) = chart.backend_coord(&(least, top + 0.5));
        // The chart tells places in the whole picture; the area takes them from its own corner.
        let (_, above) = area.get_base_pixel();
        area.draw(&Text::new(row.name.clone(), (MARGIN, y - above - FONT_SIZE / 2), (FONT, FONT_SIZE)))?;
    }
    Ok(())
}

/// Returns the powers of ten that all bars lie between.
fn bounds(rows: &[Row]) -> Option<(f64, f64)> {
    let bars = || rows.iter().flat_map(|row| row.bars.iter().map(|(_, summary)| summary));
    let least = bars().map(|bar| bar.least).reduce(f64::min)?;
    let greatest = bars().map(|bar| bar.greatest).reduce(f64::max)?;
    Some((10_f64.powf(least.log10().ceil() - 1.0), 10_f64.powf(greatest.log10().floor() + 1.0)))
}

fn label(value: &f64) -> String {
    match *value {
        value if value >= 1e9 => format!("{} G", value / 1e9),
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::tests::record;

    #[test]
    fn every_workload_is_named_in_the_plot() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plot.svg");
        draw(&record(), &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("<svg"), "{text}");
        assert!(text.contains("http-c1"), "{text}");
    }

    #[test]
    fn a_record_without_figures_is_an_empty_plot() {
        let directory = tempfile::tempdir().unwrap();
        let mut empty = record();
        empty.runs.clear();
        draw(&empty, &directory.path().join("plot.svg")).unwrap();
    }
}
