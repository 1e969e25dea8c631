//! Pauses that servers ask for, and what a result holds.

use http::{HeaderValue, StatusCode};

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let named = pairs.iter().map(|(name, value)| {
        (http::HeaderName::from_static(name), HeaderValue::from_static(value))
    });
    named.collect()
}

#[test]
fn retry_after_is_honoured_and_bounded() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a time");
    let pause = |pairs: &[_]| retry_after(&headers(pairs), now).map(|pause| pause.as_secs());
    assert_eq!(pause(&[]), None);
    assert_eq!(pause(&[("retry-after", "7")]), Some(7));
    assert_eq!(pause(&[("retry-after", "0")]), Some(0));
    assert_eq!(pause(&[("retry-after", "99999999")]), Some(3600));
    assert_eq!(pause(&[("retry-after", "soon")]), None);
    assert_eq!(pause(&[("retry-after", "-1")]), None);
    let at = "Sun, 06 Nov 1994 08:50:00 GMT";
    assert_eq!(pause(&[("retry-after", at)]), Some(23));
    // By the server's own clock.
    assert_eq!(pause(&[("retry-after", at), ("date", "Sun, 06 Nov 1994 08:49:50 GMT")]), Some(10));
    assert_eq!(pause(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
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
fn a_result_fits_whatever_the_body_is() {
    const MOST: usize = 512 * 1024;
    let control = result(&response(vec![1; MOST]));
    assert!(control["body_base64"].is_string() && control["body"].is_null());
    let text = result(&response("é".repeat(MOST / 2).into_bytes()));
    assert!(text["body"].is_string());
    let bytes = result(&response(vec![0xff; MOST]));
    for value in [control, text, bytes] {
        assert!(value.to_string().len() < (1 << 20) - MAX_RESULT_HEADER_BYTES * 6 / 2);
    }
}
