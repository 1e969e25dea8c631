//! The panel's files. They are part of the binary where they were built before it was; a build
//! for development reads them from their folder instead, so that a new panel needs no new gateway.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use rust_embed::{EmbeddedFile, RustEmbed};

/// The page that every address of the panel begins with.
const INDEX: &str = "index.html";

/// Files under it carry a hash of their content in their names.
const ASSETS: &str = "assets/";

/// Nothing but the panel's own files, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const MISSING: &str = "This gateway was built without its panel.\n\n\
    From a checkout: install Node 20 or newer with npm, then run `cargo xtask dev` again, or \
    `npm ci && npm run build` in gateway/panel.\nREST: /v1, described by /openapi.json.\n";

#[derive(RustEmbed)]
#[folder = "panel/dist"]
#[allow_missing = true]
struct Files;

/// Whether there is a panel to serve.
pub fn has_panel() -> bool {
    Files::get(INDEX).is_some()
}

/// A file of the panel, or its first page for an address within it.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let mut answer = match find(path, &headers) {
        Some(answer) => answer,
        // A page that was open during an update asks for files that are gone: not for a page.
        None if path.starts_with(ASSETS) => {
            (StatusCode::NOT_FOUND, "no such file\n").into_response()
        }
        None => match find(INDEX, &headers) {
            Some(answer) => answer,
            None => (StatusCode::NOT_FOUND, MISSING).into_response(),
        },
    };
    protect(answer.headers_mut());
    answer
}

pub(crate) fn protect(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn find(path: &str, headers: &HeaderMap) -> Option<Response> {
    if path.ends_with(".br") || path.ends_with(".gz") {
        return None;
    }
    let plain = Files::get(path)?;
    let tag = format!("\"{}\"", hex(&plain.metadata.sha256_hash()[..16]));
    let is_asset = path.starts_with(ASSETS);
    let caching = if is_asset { "public, max-age=31536000, immutable" } else { "no-cache" };
    let seen = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut answer = if seen.is_some_and(|seen| seen.contains(&tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        body(path, plain, headers)
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Some(answer)
}

/// As small as the browser takes it; the build left compressed twins beside the files.
fn body(path: &str, plain: EmbeddedFile, headers: &HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let accepts = |coding: &str| {
        accepted.is_some_and(|list| {
            list.split(',').any(|one| one.trim().split(';').next() == Some(coding))
        })
    };
    let twins = [("br", "br"), ("gzip", "gz")];
    let twin = twins.iter().filter(|(coding, _)| accepts(coding)).find_map(|(coding, ending)| {
        Files::get(&format!("{path}.{ending}")).map(|file| (*coding, file))
    });
    let (coding, file) = match twin {
        Some((coding, file)) => (Some(coding), file),
        None => (None, plain),
    };
    let mut answer = Response::new(Body::from(file.data.into_owned()));
    if let Some(coding) = coding {
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    answer
}

/// Of the endings that the panel's build writes.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
