//! Serves the files of the panel. A release build embeds them in the binary. A debug build reads
//! them from `panel/dist`, so a rebuilt panel needs no rebuild of the gateway.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use rust_embed::{EmbeddedFile, RustEmbed};

/// The page that every route of the panel loads.
const INDEX: &str = "index.html";

/// The directory of files with a hash of their content in their names.
const ASSETS: &str = "assets/";

/// Allows only the panel's own files, and no embedding in a frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const NOT_BUILT: &str = "This gateway was built without the panel.\n\n\
    In a checkout, install Node 20 or newer with npm. Then run `cargo xtask dev` again, or \
    `npm ci && npm run build` in gateway/panel.\n\
    REST is available under /v1; /openapi.json documents it.\n";

#[derive(RustEmbed)]
#[folder = "panel/dist"]
#[allow_missing = true]
struct Files;

/// Returns whether the panel was built.
pub fn has_panel() -> bool {
    Files::get(INDEX).is_some()
}

/// Serves a file of the panel, or its page for a path that the panel routes itself.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let mut response = match find(path, &headers) {
        Some(response) => response,
        // A page that was loaded before an update requests files that no longer exist. The index
        // page would be the wrong content for them.
        None if path.starts_with(ASSETS) => {
            (StatusCode::NOT_FOUND, "no such file\n").into_response()
        }
        None => match find(INDEX, &headers) {
            Some(response) => response,
            None => (StatusCode::NOT_FOUND, NOT_BUILT).into_response(),
        },
    };
    add_security_headers(response.headers_mut());
    response
}

pub(crate) fn add_security_headers(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
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
    let file = Files::get(path)?;
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    let is_asset = path.starts_with(ASSETS);
    let caching = if is_asset { "public, max-age=31536000, immutable" } else { "no-cache" };
    let cached = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if cached.is_some_and(|cached| cached.contains(&tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content(path, file, headers)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Some(response)
}

/// Returns the file in the smallest encoding that the client accepts. The build of the panel
/// writes compressed copies next to the files.
fn content(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let accepts = |coding: &str| {
        accepted.is_some_and(|list| {
            list.split(',').any(|one| one.trim().split(';').next() == Some(coding))
        })
    };
    let codings = [("br", "br"), ("gzip", "gz")];
    let compressed =
        codings.iter().filter(|(coding, _)| accepts(coding)).find_map(|(coding, extension)| {
            Files::get(&format!("{path}.{extension}")).map(|file| (*coding, file))
        });
    let (coding, file) = match compressed {
        Some((coding, file)) => (Some(coding), file),
        None => (None, file),
    };
    let mut response = Response::new(Body::from(file.data.into_owned()));
    if let Some(coding) = coding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    response
}

/// Covers the file extensions that the build of the panel writes.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
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
