use super::*;

#[test]
fn the_displayed_address_has_no_password() {
    for (url, displayed) in [
        ("mysql://sen:pass@db:3306/jobs", "mysql://sen@db:3306/jobs"),
        ("mysql://sen:p@ss:w/rd@db/jobs?tcp_keepalive=9", "mysql://sen@db/jobs"),
        ("mysql://db/jobs", "mysql://db/jobs"),
        ("mysql://sen@db/jobs", "mysql://sen@db/jobs"),
    ] {
        let address = Address::parse(url).expect("valid");
        assert_eq!(address.display().to_str(), Some(displayed));
    }
    for wrong in ["postgres://sen:secret@db/jobs", "mysql://sen:secret@db", "sen:secret@db/jobs"] {
        let refused = Address::parse(wrong).err().expect("refused");
        assert!(!refused.to_string().contains("secret"), "{refused}");
        assert!(refused.to_string().contains("mysql://USER"), "{refused}");
    }
}

#[test]
fn options_in_the_url_override_the_defaults() {
    let address = Address::parse("mysql://db/jobs?tcp_keepalive=9").expect("valid");
    assert_eq!(
        address.url(),
        "mysql://db/jobs?tcp_keepalive=9&prefer_socket=false&stmt_cache_size=0"
    );
    let address = Address::parse("mysql://db/jobs").expect("valid");
    assert!(address.url().starts_with("mysql://db/jobs?prefer_socket=false&"));
}
