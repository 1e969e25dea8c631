//! What a run prints: a line for each step, a table, and closing lines for other programs.

use std::io::Write;
use std::time::Duration;

use super::{Count, repeat::MAX_FLAKY};
use crate::paint;

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) count: Count,
    pub(crate) took: Duration,
}

/// Shows the running step on a terminal; a log gets one line per finished step.
pub(crate) fn start(name: &str) {
    if paint::on_terminal() {
        print!("{}", paint::faint(&format!("  ...   {name}")));
        // A lost hint is no reason to fail a test run.
        let _ = std::io::stdout().flush();
    }
}

pub(crate) fn finish(line: &Line) {
    let clear = if paint::on_terminal() { "\r\x1b[K" } else { "" };
    println!("{clear}{}", row(line));
}

pub(crate) fn print(lines: &[Line], took: Duration) {
    let mut total = Count::default();
    println!("\n{}", paint::strong("summary"));
    for line in lines {
        println!("{}", row(line));
        total += &line.count;
    }
    println!("{} steps in {:.0} s", lines.len(), took.as_secs_f64());
    for case in &total.flaky {
        println!("\n{} {}", paint::bad("FLAKY"), case.name);
        println!("--- failed with\n{}", case.failure);
        println!("--- passed when it was repeated alone\n{}\n", case.repetition);
    }
    for line in closing(&total) {
        println!("{line}");
    }
}

fn row(line: &Line) -> String {
    let mark = if line.count.failed == 0 { paint::good("ok") } else { paint::bad("FAIL") };
    let pad = if line.count.failed == 0 { "    " } else { "  " };
    format!(
        "{mark}{pad}{:<14} {:>7.1} s  {}",
        line.name,
        line.took.as_secs_f64(),
        line.count.closing_line()
    )
}

/// The last line is the count, the one before it names what was skipped.
fn closing(total: &Count) -> Vec<String> {
    let mut lines = Vec::new();
    if total.flaky.len() > MAX_FLAKY {
        let number = total.flaky.len();
        lines.push(format!("{number} flaky tests; a run with more than {MAX_FLAKY} fails"));
    }
    if total.ignored > 0 {
        lines.push(format!("{} soak tests are left to `cargo xtask soak`", total.ignored));
    }
    if !total.skipped.is_empty() {
        lines.push(format!("SKIPPED {}", total.skipped.join("; ")));
    }
    lines.push(total.closing_line());
    lines
}

#[cfg(test)]
mod tests;
