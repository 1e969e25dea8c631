//! Probes are real; installs are only composed.

use super::*;

#[test]
fn sees_what_is_missing() {
    const PROBES: &[Need] = &[
        Need { probe: &["sh", "-c", "true"], source: Source::Apt("there"), why: "" },
        Need { probe: &["no-such-program-here"], source: Source::Apt("absent"), why: "" },
    ];
    let names: Vec<&str> = missing(PROBES).iter().map(|need| name(need.source)).collect();
    assert_eq!(names, ["absent"]);
}

#[test]
fn composes_one_command_per_installer() {
    let needs = [
        Need { probe: &[], source: Source::Apt("git"), why: "" },
        Need { probe: &[], source: Source::Rustup("clippy"), why: "" },
        Need { probe: &[], source: Source::Apt("gcc"), why: "" },
    ];
    let all: Vec<&Need> = needs.iter().collect();
    assert_eq!(
        installs(&all),
        [
            vec!["apt-get", "install", "-y", "git", "gcc"],
            vec!["rustup", "component", "add", "clippy"]
        ]
    );
    assert!(installs(&[]).is_empty());
}
