//! Fuzz targets for the parsers of flag values and of the configuration file.

use std::time::{Duration, SystemTime};

use sentinel_fuzz::Target;

use super::parse;
use crate::config::{
    Config, Mode, Sources, format_bytes, format_duration, parse_bytes, parse_duration,
};

const DIR: &str = env!("CARGO_MANIFEST_DIR");

fn seeds(texts: &[(&'static str, &str)]) -> Vec<(&'static str, Vec<u8>)> {
    texts.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect()
}

const UNITS: Target = Target {
    manifest_dir: DIR,
    name: "units",
    check: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
        let duration =
            parse_duration(text).inspect_err(|error| assert!(!error.to_string().is_empty()));
        if let Ok(duration) = duration {
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        let size = parse_bytes(text);
        if let Ok(size) = size {
            assert_eq!(parse_bytes(&format_bytes(size)), Ok(size));
        }
        usize::from(duration.is_ok()) + usize::from(size.is_ok())
    },
    seeds: || {
        seeds(&[
            ("duration", "15s"),
            ("size", "64KiB"),
            ("zero", "0"),
            ("largest", "18446744073709551615ms"),
            ("too-large", "99999999999999999999d"),
            ("spaced", " 7 m "),
        ])
    },
};

const FLAG_VALUE: Target = Target {
    manifest_dir: DIR,
    name: "flag_value",
    check: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
        if let Ok((key, _)) = parse::key_value(text) {
            assert!(!key.is_empty());
        }
        let _ = parse::state(text);
        let Ok(time) = parse::time(text) else { return 1 };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        // The conversion must not panic; the server checks the range.
        let _ = prost_types::Timestamp::from(time.resolve(now));
        2
    },
    seeds: || {
        seeds(&[
            ("time", "2026-01-31T12:00:00Z"),
            ("time-with-offset", "2026-01-31T12:00:00.123456789+05:30"),
            ("from-now", "10m"),
            ("largest-duration", "18446744073709551615ms"),
            ("before-1970", "1066-10-14T09:00:00Z"),
            ("last", "9999-12-31T23:59:59.999999999Z"),
            ("pair", "key=value=more"),
            ("state", "running"),
        ])
    },
};

const CONFIG: Target = Target {
    manifest_dir: DIR,
    name: "config_file",
    check: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
        let file = Some(("sentinel.toml".into(), text.to_owned()));
        let sources = Sources { file, host: "box".into(), ..Sources::default() };
        match Config::load(Mode::Serve, &sources) {
            Ok(loaded) => 2 + loaded.values.len(),
            Err(errors) => {
                assert!(!errors.0.is_empty() && errors.to_string().contains("sentinel.toml"));
                1
            }
        }
    },
    seeds: || {
        seeds(&[
            (
                "valid",
                "ping_interval = \"1s\"\nlisten = \"127.0.0.1:7070\"\npayload_max_bytes = \"2MiB\"\n",
            ),
            ("wrong-types", "ping_interval = 7\nauto_create_queues = \"perhaps\"\nlisten = []\n"),
            ("a-table", "[server]\nping_interval = \"1s\"\n"),
            ("port-conflict", "listen = \"127.0.0.1:7071\"\n"),
            ("unclosed", "ping_interval = \"1s\n[[\n"),
            ("deep", "a = [[[[[[[[[[[[[[[[[[[[{b={c=[[[[[[[1]]]]]]]}}]]]]]]]]]]]]]]]]]]]]\n"),
        ])
    },
};

#[test]
fn units() {
    UNITS.test();
}

#[test]
fn flag_values() {
    FLAG_VALUE.test();
}

#[test]
fn config_files() {
    CONFIG.test();
}

#[test]
#[ignore = "runs for minutes: cargo xtask soak"]
fn soak_texts() {
    let all = [&UNITS, &FLAG_VALUE, &CONFIG];
    all.iter().for_each(|target| target.soak(all.len()));
}
