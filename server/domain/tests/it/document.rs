//! Generated files: a stale one fails its test, and `SENTINEL_UPDATE=1` updates it.

use std::path::PathBuf;

use sentinel_domain::limits;

/// Compares a file with its expected content. The path is relative to the root of the repository.
pub(crate) fn assert_current(path: &str, text: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("SENTINEL_UPDATE").is_some() {
        std::fs::write(&file, text).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let at = found.lines().zip(text.lines()).position(|(a, b)| a != b);
    let at = at.unwrap_or_else(|| found.lines().count().min(text.lines().count()));
    assert!(
        found == text,
        "{path} is stale from line {}: `{}` must be `{}`; run the test with SENTINEL_UPDATE=1",
        at + 1,
        found.lines().nth(at).unwrap_or("(end)"),
        text.lines().nth(at).unwrap_or("(end)"),
    );
}

/// Returns a template with its placeholders `{{name}}` replaced.
pub(crate) fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut text = template.to_owned();
    for (name, part) in parts {
        let placeholder = format!("{{{{{name}}}}}");
        assert!(text.contains(&placeholder), "the template has no {placeholder}");
        text = text.replace(&placeholder, part.trim_end());
    }
    assert!(!text.contains("{{"), "a placeholder of the template is not replaced");
    text
}

/// Returns a value in the largest unit that represents it exactly.
fn readable(value: u64, unit: &str) -> String {
    let steps: &[(u64, &str)] = match unit {
        "bytes" => &[(1 << 20, "MiB"), (1 << 10, "KiB")],
        "ms" => &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")],
        _ => &[],
    };
    match steps.iter().find(|(step, _)| value >= *step && value.is_multiple_of(*step)) {
        Some((step, name)) => format!("{} {name}", value / step),
        None if unit == "level" => value.to_string(),
        None => format!("{} {unit}", grouped(value)),
    }
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[test]
fn the_limits_page_is_current() {
    let mut table = String::from("| limit | value | of | if exceeded |\n|---|---|---|---|\n");
    for limit in limits::TABLE {
        let value = readable(limit.value, limit.unit);
        let beyond = if limit.beyond == "-" { "a default" } else { limit.beyond };
        table.push_str(&format!("| `{}` | {value} | {} | {beyond} |\n", limit.name, limit.what));
    }
    assert_current(
        "docs/limits.md",
        &filled(include_str!("limits.template.md"), &[("limits", table)]),
    );
}
