//! Renders the settings: `--print-config` and docs/configuration.md.

use std::fmt::Write;

use super::load::Loaded;
use super::table::{Setting, TABLE};

impl Loaded {
    /// Returns the effective settings as a TOML file with the origin of each value as a comment.
    /// Loading the file gives the same settings, except for passwords.
    pub fn to_toml(&self) -> String {
        let lines: Vec<(String, String)> = TABLE
            .iter()
            .zip(&self.values)
            .map(|(setting, (value, origin))| {
                let line = match value.to_toml() {
                    Some(text) => format!("{} = {text}", setting.name),
                    None => format!("# {} is not set", setting.name),
                };
                (line, origin.to_string())
            })
            .collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
        lines.iter().fold(String::new(), |mut out, (line, origin)| {
            let _ = writeln!(out, "{line:width$}  # {origin}");
            out
        })
    }
}

/// Renders docs/configuration.md.
pub fn to_markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Generated from the table of settings in `server/src/config/table.rs`; a test fails if \
         it is out of date.\n\n\
         A setting is read from a TOML file (`--config FILE` or `SENTINEL_CONFIG`), from the \
         environment, or from a flag of `sentinel serve` and `sentinel dev`. A flag overrides \
         the environment, the environment the file, the file the default. All errors are \
         reported together, each with its file and line, variable or flag. `--print-config` \
         prints the effective settings and the origin of each.\n",
    );
    let mut group = "";
    for setting in TABLE {
        if setting.group != group {
            group = setting.group;
            let _ = writeln!(out, "\n## {group}\n");
            out.push_str("| setting | flag | environment | default | range | description |\n");
            out.push_str("|---|---|---|---|---|---|\n");
        }
        let _ = writeln!(out, "{}", row(setting));
    }
    out.push_str(
        "\nDurations are a whole number and a unit: `500ms`, `15s`, `10m`, `2h`, `30d`. Sizes are \
         a whole number and a unit: `512B`, `64KiB`, `1MiB`, `4GiB`; a plain number is bytes.\n",
    );
    out
}

fn row(setting: &Setting) -> String {
    format!(
        "| `{}` | `--{}` | `{}` | {} | {} | {} |",
        setting.name,
        setting.flag(),
        setting.env(),
        setting.default_text(),
        setting.value_type.range().unwrap_or_else(|| "-".to_owned()),
        setting.help,
    )
}
