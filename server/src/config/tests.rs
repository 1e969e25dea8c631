//! Precedence, error messages and golden files.

use std::time::Duration;

use super::*;

fn sources(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Sources {
        file: Some(("sentinel.toml".into(), file.to_owned())),
        env: owned(env),
        flags: owned(flags),
        host: "box".to_owned(),
    }
}

fn errors(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
    Config::load(Mode::Serve, &sources(file, env, flags)).unwrap_err().to_string()
}

#[test]
fn defaults_follow_the_mode() {
    let serve = Config::load(Mode::Serve, &sources("", &[], &[])).unwrap().config;
    let dev = Config::load(Mode::Dev, &sources("", &[], &[])).unwrap().config;
    assert_eq!(serve.data_dir.to_str(), Some("/var/lib/sentinel"));
    assert_eq!(dev.data_dir.to_str(), Some("./.sentinel"));
    assert!(!serve.auto_create_queues && dev.auto_create_queues);
    assert_eq!(serve.session_ttl, Duration::from_secs(15));
    assert_eq!(serve.payload_max_bytes, 1 << 20);
    assert_eq!(serve.server_name, "box");
    assert_eq!(serve.otlp_endpoint, None);
}

#[test]
fn limits_agree_with_the_domain() {
    let max = sentinel_domain::limits::PAYLOAD_MAX_BYTES.to_string();
    let at_limit = sources("", &[], &[("payload_max_bytes", &max)]);
    assert!(Config::load(Mode::Serve, &at_limit).is_ok());
    let setting = TABLE.iter().find(|setting| setting.name == "payload_max_bytes").unwrap();
    assert_eq!(
        setting.value_type.parse("1MiB").unwrap(),
        Value::Bytes(sentinel_domain::limits::PAYLOAD_BYTES)
    );
    assert!(matches!(setting.value_type, ValueType::Bytes(_, max)
        if max == sentinel_domain::limits::PAYLOAD_MAX_BYTES));
}

#[test]
fn a_flag_overrides_the_environment_and_the_environment_the_file() {
    let file = "ping_interval = \"1s\"\nsession_ttl = \"20s\"\ndrain_timeout = \"5s\"\n";
    let env = [("SENTINEL_PING_INTERVAL", "3s"), ("SENTINEL_SESSION_TTL", "30s")];
    let flags = [("ping_interval", "4s")];
    let loaded = Config::load(Mode::Serve, &sources(file, &env, &flags)).unwrap();
    assert_eq!(loaded.config.ping_interval, Duration::from_secs(4));
    assert_eq!(loaded.config.session_ttl, Duration::from_secs(30));
    assert_eq!(loaded.config.drain_timeout, Duration::from_secs(5));
}

#[test]
fn all_errors_are_reported_with_their_origin() {
    let file =
        "lissen = \"127.0.0.1:1\"\n\nping_interval = 2\ndata_dir = [1]\nstore_retention = \"2h\"\n";
    let env = [("SENTINEL_PAYLOAD_MAX_BYTES", "17MiB"), ("SENTINEL_INSECURE", "yes")];
    let flags = [("log_format", "xml"), ("listen", "localhost")];
    let text = errors(file, &env, &flags);
    for expected in [
        "8 errors in the configuration:",
        "sentinel.toml:1: unknown setting lissen; did you mean listen?",
        "sentinel.toml:3: ping_interval = \"2\": expected one of the units ms, s, m, h, d, as in 15s",
        "sentinel.toml:4: data_dir: expected a single value, found array",
        "sentinel.toml:5: store_retention = \"2h\": out of range; allowed: 1s..1h",
        "SENTINEL_PAYLOAD_MAX_BYTES: payload_max_bytes = \"17MiB\": out of range; allowed: 1KiB..16MiB",
        "SENTINEL_INSECURE: insecure = \"yes\": expected true or false",
        "--log-format: log_format = \"xml\": expected one of auto, pretty, json",
        "--listen: listen = \"localhost\": expected an IP address and a port",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
}

#[test]
fn a_syntax_error_names_the_line() {
    assert!(
        errors("ping_interval = \"2s\"\nlisten = = 3\n", &[], &[]).contains("sentinel.toml:2: ")
    );
}

#[test]
fn conflicting_settings_are_rejected() {
    let text = errors("", &[], &[("listen", "0.0.0.0:7070")]);
    assert!(text.contains("--listen: listen = 0.0.0.0:7070 is reachable"), "{text}");
    assert!(text.contains("--insecure"), "{text}");
    let open = sources("insecure = true", &[], &[("listen", "0.0.0.0:7070")]);
    assert!(Config::load(Mode::Serve, &open).is_ok());
    assert!(errors("ops_listen = \"127.0.0.1:7070\"", &[], &[]).contains("another port"));
    assert!(errors("ping_interval = \"6s\"", &[], &[]).contains("3 x ping_interval"));
}

#[test]
fn a_misspelt_environment_variable_is_a_warning() {
    let env = [("SENTINEL_LISTN", "x"), ("SENTINEL_SERVICE_HOST", "10.0.0.1")];
    let loaded = Config::load(Mode::Serve, &sources("", &env, &[])).unwrap();
    let expected = "SENTINEL_LISTN is not a setting and is ignored; did you mean SENTINEL_LISTEN?";
    assert_eq!(loaded.warnings, [expected]);
}

#[test]
fn store_url_and_ledger_url_need_each_other() {
    let half = errors("ledger_url = \"mysql://db/sentinel\"\n", &[], &[]);
    assert!(half.contains("sentinel.toml:1: ledger_url is set and store_url is not"), "{half}");
    let half = errors("", &[("SENTINEL_STORE_URL", "redis://r")], &[]);
    assert!(half.contains("SENTINEL_STORE_URL: store_url is set and ledger_url is not"), "{half}");
}

#[test]
fn a_password_is_never_displayed() {
    let url = "redis+cluster://u:hunter2@h1:1,h2";
    let loaded = Config::load(
        Mode::Serve,
        &sources("", &[], &[("store_url", url), ("ledger_url", "mysql://u:hunter2@db/s")]),
    )
    .unwrap();
    assert_eq!(loaded.config.store_url.as_ref().unwrap().reveal(), url);
    let shown = format!("{:?} {}", loaded, loaded.to_toml());
    assert!(shown.contains("redis+cluster://***@h1:1,h2") && !shown.contains("hunter2"), "{shown}");
    let wrong = errors("", &[("SENTINEL_STORE_URL", "rediss://u:hunter2@h")], &[]);
    assert!(wrong.contains("rediss://***@h") && !wrong.contains("hunter2"), "{wrong}");
}

#[test]
fn the_printed_configuration_matches_the_golden_file_and_loads_again() {
    let env = [("SENTINEL_PING_INTERVAL", "1500ms")];
    let flags = [("insecure", "true"), ("listen", "0.0.0.0:7070")];
    let loaded =
        Config::load(Mode::Dev, &sources("\npayload_max_bytes = 2048\n", &env, &flags)).unwrap();
    let printed = loaded.to_toml();
    assert_golden("server/src/config/print_config.golden.toml", &printed);
    let again = Config::load(Mode::Serve, &sources(&printed, &[], &[])).unwrap();
    assert_eq!(again.config, loaded.config);
}

#[test]
fn the_configuration_document_is_up_to_date() {
    assert_golden("docs/configuration.md", &to_markdown());
}

/// Compares with a committed file. `SENTINEL_UPDATE=1` updates the file.
fn assert_golden(path: &str, actual: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("SENTINEL_UPDATE").is_some() {
        std::fs::write(&file, actual).expect("golden file is written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(expected, actual, "{path} is out of date: run the test with SENTINEL_UPDATE=1");
}
