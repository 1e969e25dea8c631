//! Progress bars on standard error, which `--json` hides.

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;

/// A bar with a length and a template.
pub(super) fn new(out: &Output, length: u64, template: &str) -> ProgressBar {
    if out.json {
        return ProgressBar::hidden();
    }
    ProgressBar::new(length).with_style(style(template))
}

/// The style of a template, which must be valid.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates in this program are valid")
}
