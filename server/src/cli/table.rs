//! Tables: lines between rows on a terminal, bare columns in a pipe.

use comfy_table::{Cell, ContentArrangement, Table, presets};

use super::failure::Failure;
use super::look::Hue;
use super::out::Out;

/// Writes a table; nothing but the header when there are no rows.
pub(super) fn write(
    out: &mut Out,
    header: &[&str],
    rows: Vec<Vec<Painted>>,
) -> Result<(), Failure> {
    let mut table = Table::new();
    if out.terminal {
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_style(presets::NOTHING).force_no_tty();
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    if out.colors {
        table.enforce_styling();
    }
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row.into_iter().map(|painted| painted.cell(out.colors)).collect::<Vec<_>>());
    }
    // Columns of a pipe start at the margin, so that `cut` and `awk` see the same fields.
    for line in table.trim_fmt().lines() {
        out.line(if out.terminal { line } else { line.trim_start() })?;
    }
    Ok(())
}

/// A text, perhaps in colour.
pub(super) struct Painted {
    text: String,
    hue: Option<Hue>,
}

impl Painted {
    /// In a colour.
    pub(super) fn new(text: impl Into<String>, hue: Hue) -> Painted {
        Painted { text: text.into(), hue: Some(hue) }
    }

    fn cell(self, colors: bool) -> Cell {
        let cell = Cell::new(self.text);
        match self.hue {
            Some(hue) if colors => cell.fg(hue.cell()),
            _ => cell,
        }
    }
}

impl<T: Into<String>> From<T> for Painted {
    fn from(text: T) -> Painted {
        Painted { text: text.into(), hue: None }
    }
}
