//! Endpoints for operators: `/metrics`, `/healthz` and `/readyz`. They have their own listener,
//! which neither the limits of the public one nor its clients reach.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::router::Gateway;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the routes.
pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(gateway)
}

async fn metrics(State(gateway): State<Gateway>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], gateway.metrics().to_text())
}

/// A gateway is ready when its server is serving.
async fn ready(State(gateway): State<Gateway>) -> (StatusCode, String) {
    match gateway.check_server_health().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}
