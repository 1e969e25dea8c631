//! The settings for people: `--print-config` and docs/configuration.md.

use std::fmt::Write;

use super::load::Loaded;
use super::table::{Setting, TABLE};

impl Loaded {
    /// The effective settings as a TOML file that gives the same settings when it is read,
    /// but for passwords; a comment says where each value came from.
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

/// docs/configuration.md.
pub fn to_markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Rendered from the table of settings in `server/src/config/table.rs`; a test fails when \
         it is stale.\n\n\
         A setting can be given in a TOML file (`--config FILE` or `SENTINEL_CONFIG`), in the \
         environment, or as a flag of `sentinel serve` and `sentinel dev`. A flag wins over the \
         environment, the environment over the file, the file over the default. Every mistake \
         is reported at once, with the place where it was made; `--print-config` prints the \
         effective settings and where each came from.\n",
    );
    let mut group = "";
    for setting in TABLE {
        if setting.group != group {
            group = setting.group;
            let _ = writeln!(out, "\n## {group}\n");
            out.push_str("| setting | flag | environment | default | range | what it does |\n");
            out.push_str("|---|---|---|---|---|---|\n");
        }
        let _ = writeln!(out, "{}", row(setting));
    }
    out.push_str(
        "\nDurations are a whole number and a unit: `500ms`, `15s`, `10m`, `2h`, `30d`. Sizes are \
         a whole number and a unit: `512B`, `64KiB`, `1MiB`, `4GiB`; a bare number is bytes.\n",
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
        setting.kind.range().unwrap_or_else(|| "-".to_owned()),
        setting.help,
    )
}
