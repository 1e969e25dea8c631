//! The operations endpoint: `/metrics`, `/healthz` and `/readyz` on a separate listener, so that
//! probes still work when the gRPC listener is overloaded.

pub mod rpc;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the server should receive calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The server accepts calls.
    Ready,
    /// The server does not accept calls; the text says why.
    NotReady(Cow<'static, str>),
}

#[derive(Clone)]
struct Ops {
    metrics: Metrics,
    readiness: watch::Receiver<Readiness>,
}

/// Returns the routes of the endpoint.
pub fn router(metrics: Metrics, readiness: watch::Receiver<Readiness>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Ops { metrics, readiness })
}

/// Serves the routes until `stop` is cancelled, and at most 2 s longer. Requests must be for an
/// IP address, for `localhost` or for one of `allow_hosts`.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    allow_hosts: &[String],
    stop: CancellationToken,
) -> std::io::Result<()> {
    sentinel_gateway::ops::serve(listener, routes, allow_hosts, stop).await
}

async fn scrape(State(ops): State<Ops>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], ops.metrics.to_text())
}

async fn ready(State(ops): State<Ops>) -> (StatusCode, String) {
    let readiness = ops.readiness.borrow().clone();
    match readiness {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Readiness::NotReady(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n"))
        }
    }
}
