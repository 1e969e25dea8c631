//! Texts of any bytes, from flags and from files.

use std::time::{Duration, SystemTime};

use sentinel_fuzz::Target;

use super::value;
use crate::config::{Config, Mode, Sources, parse_bytes, parse_span, show_bytes, show_span};

const DIR: &str = env!("CARGO_MANIFEST_DIR");

fn named(texts: &[(&'static str, &str)]) -> Vec<(&'static str, Vec<u8>)> {
    texts.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect()
}

const AMOUNT: Target = Target {
    manifest_dir: DIR,
    name: "amount",
    check: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
        let span = parse_span(text).inspect_err(|error| assert!(!error.to_string().is_empty()));
        if let Ok(span) = span {
            assert_eq!(parse_span(&show_span(span)), Ok(span));
        }
        let size = parse_bytes(text);
        if let Ok(size) = size {
            assert_eq!(parse_bytes(&show_bytes(size)), Ok(size));
        }
        usize::from(span.is_ok()) + usize::from(size.is_ok())
    },
    seeds: || {
        named(&[
            ("span", "15s"),
            ("size", "64KiB"),
            ("zero", "0"),
            ("largest", "18446744073709551615ms"),
            ("too-large", "99999999999999999999d"),
            ("spaced", " 7 m "),
        ])
    },
};

const MOMENT: Target = Target {
    manifest_dir: DIR,
    name: "moment",
    check: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
        if let Ok((key, _)) = value::pair(text) {
            assert!(!key.is_empty());
        }
        let _ = value::state(text);
        let Ok(moment) = value::moment(text) else { return 1 };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let at = moment.since(now);
        // What is sent; the server says whether it is in range.
        let _ = prost_types::Timestamp::from(at);
        2
    },
    seeds: || {
        named(&[
            ("time", "2026-01-31T12:00:00Z"),
            ("time-with-offset", "2026-01-31T12:00:00.123456789+05:30"),
            ("from-now", "10m"),
            ("as-far-as-a-span-goes", "18446744073709551615ms"),
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
            Err(mistakes) => {
                assert!(!mistakes.0.is_empty() && mistakes.to_string().contains("sentinel.toml"));
                1
            }
        }
    },
    seeds: || {
        named(&[
            ("sound", "ping = \"1s\"\nlisten = \"127.0.0.1:7070\"\npayload_max_bytes = \"2MiB\"\n"),
            ("wrong-types", "ping = 7\nauto_create_queues = \"perhaps\"\nlisten = []\n"),
            ("a-table", "[server]\nping = \"1s\"\n"),
            ("ports-that-meet", "listen = \"127.0.0.1:7071\"\n"),
            ("unclosed", "ping = \"1s\n[[\n"),
            ("deep", "a = [[[[[[[[[[[[[[[[[[[[{b={c=[[[[[[[1]]]]]]]}}]]]]]]]]]]]]]]]]]]]]\n"),
        ])
    },
};

#[test]
fn amounts() {
    AMOUNT.test();
}

#[test]
fn moments() {
    MOMENT.test();
}

#[test]
fn config_files() {
    CONFIG.test();
}

#[test]
#[ignore = "a long dose; run with cargo xtask soak"]
fn soak_texts() {
    let all = [&AMOUNT, &MOMENT, &CONFIG];
    all.iter().for_each(|target| target.soak(all.len()));
}
