//! Parsing of flags.

use clap::CommandFactory;

use super::*;

#[test]
fn the_command_definition_is_valid() {
    Flags::command().debug_assert();
}

#[test]
fn flags_have_defaults() {
    let flags = Flags::parse_from(["sentinel-worker"]);
    assert_eq!(flags.servers, ["http://127.0.0.1:7070"]);
    assert_eq!(flags.queues, ["default"]);
    assert_eq!(flags.drain_timeout, Duration::from_secs(30));
    assert_eq!(flags.log_format(), LogFormat::Pretty);
    assert!(flags.worker().is_ok());
}

#[test]
fn flags_are_repeatable_and_separated_by_commas() {
    let flags = Flags::parse_from([
        "sentinel-worker",
        "--server",
        "a:1",
        "--server=b:2",
        "--queues",
        "x,y",
        "--label",
        "zone=1",
        "--json",
    ]);
    assert_eq!(flags.servers, ["a:1", "b:2"]);
    assert_eq!(flags.queues, ["x", "y"]);
    assert_eq!(flags.labels, [("zone".to_owned(), "1".to_owned())]);
    assert_eq!(flags.log_format(), LogFormat::Json);
}

#[test]
fn a_duration_is_a_number_with_a_unit() {
    assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
    for invalid in
        ["", "5", "s", "1.5s", "-1s", "99999999999999999999s", "5 s", "18446744073709551615h"]
    {
        assert_eq!(parse_duration(invalid), Err(FlagError::Duration), "{invalid:?}");
    }
}

#[test]
fn a_label_is_a_key_and_a_value() {
    assert_eq!(parse_label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    assert_eq!(parse_label("=b"), Err(FlagError::Label));
    assert_eq!(parse_label("a"), Err(FlagError::Label));
}
