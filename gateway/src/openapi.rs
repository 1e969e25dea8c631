//! The description of REST, made from the contract that REST is made from: OpenAPI 3.1 for
//! programs at /openapi.json, and the same as a page for people at /docs.

mod comments;
mod operation;
mod page;
mod schema;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

use self::comments::Comments;
use self::schema::Schemas;
use crate::rest::routes;

/// What holds for all calls. The page shows it, too.
const ABOUT: &str = include_str!("openapi/about.md");

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
static JSON: LazyLock<Bytes> = LazyLock::new(|| DOCUMENT.to_string().into());
static PAGE: LazyLock<Bytes> = LazyLock::new(|| page::render(&DOCUMENT).into());

/// `GET /openapi.json`.
pub(crate) async fn json() -> Response {
    answer("application/json", JSON.clone())
}

/// `GET /docs`.
pub(crate) async fn page() -> Response {
    let mut answer = answer("text/html; charset=utf-8", PAGE.clone());
    crate::panel::protect(answer.headers_mut());
    answer
}

/// `GET /docs/style.css`: a page under our policy has no style of its own.
pub(crate) async fn style() -> Response {
    answer("text/css; charset=utf-8", Bytes::from_static(include_bytes!("openapi/style.css")))
}

fn answer(media_type: &'static str, body: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, body).into_response()
}

fn document() -> Value {
    let comments = Comments::read();
    let mut schemas = Schemas::new(&comments);
    let mut paths: Map<String, Value> = Map::new();
    let mut tags: Vec<Value> = Vec::new();
    for route in routes::all() {
        let operation = operation::of(route, &comments, &mut schemas);
        let path = paths.entry(route.template.shown()).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
        let service = route.call.parent_service();
        if !tags.iter().any(|tag| tag["name"] == service.name()) {
            let about = comments.of(&service.parent_file(), service.path());
            tags.push(json!({"name": service.name(), "description": about}));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sentinel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {
                "type": "http",
                "scheme": "bearer",
                "description": "The text of a key: snt_<id>_<secret>. Not needed where the server asks for no credentials.",
            }},
            "responses": {"Error": {
                "description": "The call did not succeed.",
                "headers": {"Retry-After": {
                    "description": "Seconds to wait before the call is repeated.",
                    "schema": {"type": "integer"},
                }},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }},
            "schemas": schemas.finish(),
        },
    })
}

#[cfg(test)]
mod tests;
