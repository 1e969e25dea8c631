//! Tells requests of the gateway's own pages from those of other origins.

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri, header};

/// Browsers set it to the relation between the page and the URL that it calls.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Returns whether the request comes from a page of this gateway, or from no page.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = authority(origin);
    origin.is_some() && origin == host(headers)
}

/// Returns the host of the request with its port.
pub(crate) fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}

fn authority(origin: &HeaderValue) -> Option<Authority> {
    origin.to_str().ok()?.parse::<Uri>().ok()?.authority().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn requests_of_own_pages_and_of_no_page_are_same_origin() {
        let same_origin = [
            headers(&[("host", "a:7080")]),
            headers(&[("host", "a:7080"), ("origin", "http://a:7080")]),
            headers(&[("sec-fetch-site", "same-origin")]),
            headers(&[("sec-fetch-site", "none")]),
        ];
        for headers in same_origin {
            assert!(is_same_origin(&headers), "{headers:?}");
        }
    }

    #[test]
    fn requests_of_other_hosts_ports_and_sites_are_cross_origin() {
        let cross_origin = [
            headers(&[("host", "a:7080"), ("origin", "http://b:7080")]),
            headers(&[("host", "a:7080"), ("origin", "http://a:7081")]),
            headers(&[("host", "a:7080"), ("origin", "null")]),
            headers(&[("origin", "http://a:7080")]),
            headers(&[("sec-fetch-site", "cross-site")]),
            headers(&[("sec-fetch-site", "same-site")]),
            headers(&[("host", "a"), ("origin", "http://a"), ("sec-fetch-site", "cross-site")]),
        ];
        for headers in cross_origin {
            assert!(!is_same_origin(&headers), "{headers:?}");
        }
    }
}
