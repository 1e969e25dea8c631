//! Redirects.

use super::*;

fn hop(method: Method) -> Hop {
    let headers = [
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("x-api-key", "k"),
        ("content-type", "text/plain"),
        ("idempotency-key", "i"),
    ];
    let headers = headers
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    Hop {
        method,
        url: url("https://a.example/x"),
        headers: headers.into_iter().collect(),
        body: "body".into(),
        is_signed: true,
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

fn response(status: u16, location: Option<&'static str>) -> Response {
    let location = location.map(|text| (header::LOCATION, HeaderValue::from_static(text)));
    Response {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: location.into_iter().collect(),
        body: Bytes::new(),
        truncated: false,
        url: url("https://a.example/x"),
        redirects: 0,
        took: Duration::ZERO,
    }
}

#[test]
fn methods_change_on_redirects_as_in_browsers() {
    for (status, before, after) in [
        (301, Method::POST, Method::GET),
        (302, Method::POST, Method::GET),
        (303, Method::POST, Method::GET),
        (303, Method::PUT, Method::GET),
        (303, Method::HEAD, Method::HEAD),
        (302, Method::PUT, Method::PUT),
        (307, Method::POST, Method::POST),
        (308, Method::DELETE, Method::DELETE),
    ] {
        let mut hop = hop(before.clone());
        hop.redirect_to(
            StatusCode::from_u16(status).expect("a valid status"),
            url("https://a.example/y"),
        );
        assert_eq!((&hop.method, hop.url.path()), (&after, "/y"), "{status} {before}");
        assert_eq!(hop.body.is_empty(), after == Method::GET, "{status} {before}");
        // The same origin keeps the signature and all headers.
        assert!(hop.is_signed && hop.headers.contains_key("x-api-key"));
    }
}

#[test]
fn another_origin_receives_no_credentials() {
    for other in ["https://b.example/", "https://a.example:8443/", "http://a.example/"] {
        let mut hop = hop(Method::POST);
        hop.redirect_to(StatusCode::TEMPORARY_REDIRECT, url(other));
        assert!(!hop.is_signed, "{other}");
        let names: Vec<&str> = hop.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "idempotency-key"], "{other}");
    }
}

#[test]
fn a_location_is_resolved_and_checked() {
    let from = url("https://a.example/x/y");
    let redirect = |status, location| redirect_target(&from, &response(status, location));
    let target =
        |location| redirect(302, Some(location)).expect("a valid redirect").expect("a target");
    assert_eq!(target("/z").as_str(), "https://a.example/z");
    assert_eq!(target("//b.example").as_str(), "https://b.example/");
    assert_eq!(target("?q#f").as_str(), "https://a.example/x/y?q");
    assert!(redirect(200, Some("/z")).expect("no redirect").is_none());
    assert!(redirect(304, Some("/z")).expect("no redirect").is_none());
    assert!(redirect(302, None).expect("no redirect").is_none());
    for (location, part) in [
        ("file:///etc/passwd", "http:// or https://"),
        ("https://u:p@b.example/", "user or a password"),
        ("http://a.example/", "from https to http"),
        ("https://", "not a valid URL"),
    ] {
        let error = redirect(302, Some(location)).expect_err(location);
        assert!(error.to_string().contains(part), "{location}: {error}");
    }
}
