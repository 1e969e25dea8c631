//! Planted licences, versions, bans and sources.

use serde_json::json;

use super::*;

const RULES: &str = r#"
[licenses]
allow = ["MIT", "Apache-2.0", "Unicode-3.0"]
[bans]
deny = [
    { crate = "openssl-sys", reason = "no system TLS" },
    { crate = "tonic", deny-multiple-versions = true, reason = "its types cross crates" },
]
skip = [{ crate = "syn", reason = "build time only" }]
"#;

/// Two versions of syn, which RULES skip, and then these packages.
fn found(packages: &[(&str, &str, &str)]) -> Vec<Problem> {
    let mut all = vec![("syn", "2.0.0", "MIT"), ("syn", "3.0.0", "MIT")];
    all.extend(packages);
    let packages: Vec<Value> = all
        .iter()
        .map(|(name, version, license)| {
            json!({ "name": name, "version": version, "license": license, "source": CRATES_IO })
        })
        .collect();
    Rules::read(RULES).unwrap().check(&json!({ "packages": packages }))
}

#[test]
fn what_the_rules_allow_passes() {
    assert_eq!(found(&[("tonic", "0.14.0", "MIT")]), []);
}

#[test]
fn sees_a_banned_crate_with_the_reason() {
    let found = found(&[("openssl-sys", "0.9.0", "MIT")]);
    assert!(found[0].fails && found[0].what.contains("no system TLS"), "{found:?}");
}

#[test]
fn a_second_version_fails_where_it_matters_and_is_printed_elsewhere() {
    let found = found(&[
        ("tonic", "0.13.0", "MIT"),
        ("tonic", "0.14.0", "MIT"),
        ("rand", "0.9.0", "MIT"),
        ("rand", "0.10.0", "MIT"),
    ]);
    let verdicts: Vec<(&str, bool)> =
        found.iter().map(|problem| (problem.place.as_str(), problem.fails)).collect();
    assert_eq!(verdicts, [("rand", false), ("tonic", true)]);
}

#[test]
fn a_skip_that_is_no_longer_needed_is_seen() {
    let packages = json!({ "packages": [] });
    let found = Rules::read(RULES).unwrap().check(&packages);
    assert!(found[0].what.contains("skips syn"), "{found:?}");
}

#[test]
fn sees_a_crate_from_elsewhere_and_one_without_a_licence() {
    let git = json!({ "name": "a", "version": "1.0.0", "source": "git+https://example.com/a" });
    let problems = Rules::read(RULES).unwrap().check(&json!({ "packages": [git] }));
    let whats: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
    assert!(whats.contains(&"declares no licence"), "{whats:?}");
    assert!(whats.iter().any(|what| what.contains("not crates.io")), "{whats:?}");
}

#[test]
fn an_entry_without_a_reason_is_refused() {
    let bare = RULES.replace(", reason = \"no system TLS\"", "");
    let error = Rules::read(&bare).unwrap_err().to_string();
    assert!(error.contains("openssl-sys") && error.contains("reason"), "{error}");
}

#[test]
fn licence_expressions() {
    let allowed = |licence: &str| matches!(licence, "MIT" | "Apache-2.0" | "Unicode-3.0");
    let cases = [
        ("MIT", Some(true)),
        ("GPL-3.0", Some(false)),
        ("GPL-3.0 OR MIT", Some(true)),
        ("GPL-3.0/MIT", Some(true)),
        ("MIT AND GPL-3.0", Some(false)),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", Some(true)),
        ("MIT OR GPL-3.0 AND GPL-2.0", Some(true)),
        ("Apache-2.0 WITH LLVM-exception", Some(false)),
        ("Apache-2.0 WITH LLVM-exception OR MIT", Some(true)),
        ("", None),
        ("MIT OR", None),
        ("(MIT", None),
        ("MIT Apache-2.0", None),
    ];
    for (expression, verdict) in cases {
        assert_eq!(licence::allows(expression, &allowed), verdict, "{expression}");
    }
}
