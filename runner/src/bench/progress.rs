//! Shows how far the benchmark is: a bar on a terminal, a line a workload elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// The bar.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Starts a bar over so many runs.
    pub(super) fn new(runs: u64) -> Self {
        let bar = ProgressBar::new(runs);
        if let Ok(style) =
            ProgressStyle::with_template("metaos: {bar:30} {pos}/{len} {msg} [{elapsed}, {eta} left]")
        {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Says what runs now.
    pub(super) fn say(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            self.0.set_message(text.to_owned());
            self.0.tick();
        } else {
            eprintln!("metaos: {}/{} {text}", self.0.position() + 1, self.0.length().unwrap_or(0));
        }
    }

    /// Says that a run has ended.
    pub(super) fn advance(&self) {
        self.0.inc(1);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
