//! The documentation of REST, generated from the same descriptors: an OpenAPI 3.1 document at
//! /openapi.json, and an HTML page at /docs.

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
use crate::panel;
use crate::rest::routes;

/// The description of the whole API.
const DESCRIPTION: &str = include_str!("openapi/description.md");

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
static JSON: LazyLock<Bytes> = LazyLock::new(|| DOCUMENT.to_string().into());
static PAGE: LazyLock<Bytes> = LazyLock::new(|| page::render(&DOCUMENT).into());

/// `GET /openapi.json`.
pub(crate) async fn json() -> Response {
    static_response("application/json", JSON.clone())
}

/// `GET /docs`.
pub(crate) async fn page() -> Response {
    let mut response = static_response("text/html; charset=utf-8", PAGE.clone());
    panel::add_security_headers(response.headers_mut());
    response
}

/// `GET /docs/style.css`. The content security policy allows no inline style.
pub(crate) async fn style() -> Response {
    static_response(
        "text/css; charset=utf-8",
        Bytes::from_static(include_bytes!("openapi/style.css")),
    )
}

fn static_response(media_type: &'static str, body: Bytes) -> Response {
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
        let operation = operation::operation(route, &comments, &mut schemas);
        let path = paths.entry(route.template.openapi_path()).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
        let service = route.call.parent_service();
        if !tags.iter().any(|tag| tag["name"] == service.name()) {
            let description = comments.get(&service.parent_file(), service.path());
            tags.push(json!({"name": service.name(), "description": description}));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sentinel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
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
                "description": "An API key: snt_<id>_<secret>. Not needed when the server requires no credentials.",
            }},
            "responses": {"Error": {
                "description": "The call failed.",
                "headers": {"Retry-After": {
                    "description": "Seconds to wait before retrying the call.",
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
