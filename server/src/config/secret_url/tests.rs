use super::*;

#[test]
fn no_secret_of_a_url_is_shown() {
    for (url, shown) in [
        ("redis://10.0.0.5:6379", "redis://10.0.0.5:6379"),
        ("redis://:s3cret@10.0.0.5:6379/1", "redis://***@10.0.0.5:6379/1"),
        ("redis://user:s3c@ret@host", "redis://***@host"),
        (
            "redis+unix:///run/redis.sock?db=1&pass=s3cret",
            "redis+unix:///run/redis.sock?db=***&pass=***",
        ),
        ("mysql://u:s3cret@db/x?ssl-key=s3cret", "mysql://***@db/x?ssl-key=***"),
        ("https://u:s3cret@otlp.example:4317", "https://***@otlp.example:4317"),
        ("https://otlp.example/?token=s3cret&x", "https://otlp.example/?token=***&x=***"),
        ("nonsense?key=s3cret", "nonsense?key=***"),
    ] {
        assert_eq!(redact(url), shown);
        let secret = SecretUrl::new(url);
        assert_eq!((secret.to_string().as_str(), format!("{secret:?}").as_str()), (shown, shown));
        assert!(!shown.contains("s3c"));
        assert_eq!(secret.reveal(), url);
    }
}
