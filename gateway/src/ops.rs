//! The side door for those who run the gateway: `/metrics`, `/healthz`, `/readyz`, on a listener
//! of its own, so that neither a flood of requests nor a stranger gets to it.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::Gateway;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes.
pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(gateway)
}

async fn scrape(State(gateway): State<Gateway>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], gateway.metrics().to_text())
}

/// A gateway is ready when its server is.
async fn ready(State(gateway): State<Gateway>) -> (StatusCode, String) {
    match gateway.server_state().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}
