//! The operations endpoint: `/metrics`, `/healthz` and `/readyz` on a separate listener, so that
//! probes still work when the gRPC listener is overloaded.

pub mod rpc;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::listener::{ConnectionTimeout, LimitedListener};
use crate::metrics::Metrics;

/// Enough for probes and scrapers.
const CONNECTIONS_MAX: usize = 64;
/// A scrape takes seconds. A slower connection is closed, since probes need its place.
const LIFETIME: ConnectionTimeout = ConnectionTimeout::Lifetime(Duration::from_secs(20));
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a shutdown waits for running scrapes. An idle connection does not delay it further.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

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

/// Serves the routes until `stop` is cancelled and at most 1 s longer.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let connections = LimitedListener::new(listener, CONNECTIONS_MAX, LIFETIME);
    let server =
        axum::serve(connections, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        result = server => result,
        () = overdue => Ok(()),
    }
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
