//! The flags as a person types them.

use clap::CommandFactory;

use super::*;

#[test]
fn the_definition_is_sound() {
    Flags::command().debug_assert();
}

#[test]
fn defaults() {
    let flags = Flags::parse_from(["sentinel-worker"]);
    assert_eq!(flags.servers, ["http://127.0.0.1:7070"]);
    assert_eq!(flags.queues, ["default"]);
    assert_eq!(flags.drain_timeout, Duration::from_secs(30));
    assert_eq!(flags.log_format(), LogFormat::Pretty);
    assert!(flags.worker().is_ok());
}

#[test]
fn lists() {
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
fn durations() {
    assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
    for bad in
        ["", "5", "s", "1.5s", "-1s", "99999999999999999999s", "5 s", "18446744073709551615h"]
    {
        assert_eq!(parse_duration(bad), Err(FlagError::Duration), "{bad:?}");
    }
}

#[test]
fn labels() {
    assert_eq!(parse_label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    assert_eq!(parse_label("=b"), Err(FlagError::Label));
    assert_eq!(parse_label("a"), Err(FlagError::Label));
}
