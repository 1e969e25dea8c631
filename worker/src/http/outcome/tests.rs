//! `Retry-After` and the size of results.

use http::{HeaderValue, StatusCode};

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let named = pairs.iter().map(|(name, value)| {
        (http::HeaderName::from_static(name), HeaderValue::from_static(value))
    });
    named.collect()
}

#[test]
fn retry_after_is_used_up_to_a_maximum() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a time");
    let delay = |pairs: &[_]| retry_after(&headers(pairs), now).map(|delay| delay.as_secs());
    assert_eq!(delay(&[]), None);
    assert_eq!(delay(&[("retry-after", "7")]), Some(7));
    assert_eq!(delay(&[("retry-after", "0")]), Some(0));
    assert_eq!(delay(&[("retry-after", "99999999")]), Some(3600));
    assert_eq!(delay(&[("retry-after", "soon")]), None);
    assert_eq!(delay(&[("retry-after", "-1")]), None);
    let at = "Sun, 06 Nov 1994 08:50:00 GMT";
    assert_eq!(delay(&[("retry-after", at)]), Some(23));
    // Relative to the server's clock.
    assert_eq!(delay(&[("retry-after", at), ("date", "Sun, 06 Nov 1994 08:49:50 GMT")]), Some(10));
    assert_eq!(delay(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
}

fn response(body: Vec<u8>) -> Response {
    Response {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: body.into(),
        truncated: false,
        url: "http://a/".parse().expect("a URL"),
        redirects: 0,
        took: Duration::ZERO,
    }
}

#[test]
fn a_result_fits_for_any_body() {
    const MAX: usize = 512 * 1024;
    let control = result(&response(vec![1; MAX]));
    assert!(control["body_base64"].is_string() && control["body"].is_null());
    let text = result(&response("é".repeat(MAX / 2).into_bytes()));
    assert!(text["body"].is_string());
    let bytes = result(&response(vec![0xff; MAX]));
    for value in [control, text, bytes] {
        assert!(value.to_string().len() < (1 << 20) - MAX_RESULT_HEADER_BYTES * 6 / 2);
    }
}
