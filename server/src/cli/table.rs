//! Tables: columns without lines, so that a copied id is the id and nothing else. On a
//! terminal long remarks wrap; in a pipe a row is a line.

use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, presets};

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
    table.load_style(presets::NOTHING).force_no_tty();
    let width = if out.terminal { console_width() } else { None };
    match width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if out.colors {
        table.enforce_styling();
    }
    let bold = |name: &&str| Cell::new(name).add_attribute(Attribute::Bold);
    table.set_header(header.iter().map(bold).collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.into_iter().map(|painted| painted.cell(out.colors)).collect::<Vec<_>>());
    }
    // Only the last column is free text; an id that is cut in two can not be copied.
    let columns = table.column_count().saturating_sub(1);
    for at in 0..columns {
        if let Some(column) = table.column_mut(at) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    for line in table.trim_fmt().lines() {
        out.line(line)?;
    }
    Ok(())
}

/// None where the terminal does not say or is too narrow to wrap anything well.
fn console_width() -> Option<u16> {
    const NARROWEST: u16 = 100;
    Table::new().width().filter(|width| *width >= NARROWEST)
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
