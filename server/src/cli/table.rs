//! Tables without borders, so that a copied id is only the id. On a terminal the last column
//! wraps; in a pipe a row is one line.

use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, presets};

use super::error::CliError;
use super::output::Output;
use super::state_style::TextColor;
use super::terminal;

/// Writes a table. Without rows it writes only the header.
pub(super) fn write(
    out: &mut Output,
    header: &[&str],
    rows: Vec<Vec<StyledCell>>,
) -> Result<(), CliError> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    let width = if out.terminal { terminal_width() } else { None };
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
        table.add_row(row.into_iter().map(|cell| cell.into_cell(out.colors)).collect::<Vec<_>>());
    }
    // Only the last column is free text. Wrapping an id would make it impossible to copy.
    let columns = table.column_count().saturating_sub(1);
    for index in 0..columns {
        if let Some(column) = table.column_mut(index) {
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

/// The width of the terminal; none when it is unknown or too narrow to wrap well.
fn terminal_width() -> Option<u16> {
    const MIN_WIDTH: u16 = 100;
    Table::new().width().filter(|width| *width >= MIN_WIDTH)
}

/// The text of a table cell and its colour.
pub(super) struct StyledCell {
    text: String,
    color: Option<TextColor>,
}

impl StyledCell {
    /// A cell with coloured text.
    pub(super) fn new(text: impl Into<String>, color: TextColor) -> StyledCell {
        StyledCell { text: text.into(), color: Some(color) }
    }

    fn into_cell(self, colors: bool) -> Cell {
        let cell = Cell::new(terminal::printable(&self.text));
        match self.color {
            Some(color) if colors => cell.fg(color.cell_color()),
            _ => cell,
        }
    }
}

impl<T: Into<String>> From<T> for StyledCell {
    fn from(text: T) -> StyledCell {
        StyledCell { text: text.into(), color: None }
    }
}
