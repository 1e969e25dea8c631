//! The side door for those who run the server: `/metrics`, `/healthz`, `/readyz`, on a
//! listener of its own, so that a flood of calls does not hide the server from its probes.

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

use crate::listener::{LimitedListener, ConnectionTimeout};
use crate::metrics::Metrics;

/// Probes and scrapes, and some to spare.
const CONNECTIONS_MAX: usize = 64;
/// A scraper takes seconds and opens another connection. Who is slower is cut off, since its
/// place is needed by a probe.
const LIFETIME: ConnectionTimeout = ConnectionTimeout::Lifetime(Duration::from_secs(20));
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A scrape in flight may end; an idle connection does not hold the server up.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether the server should get calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It should.
    Ready,
    /// It should not, and why, for people.
    NotReady(Cow<'static, str>),
}

#[derive(Clone)]
struct Ops {
    metrics: Metrics,
    readiness: watch::Receiver<Readiness>,
}

/// The routes.
pub fn router(metrics: Metrics, readiness: watch::Receiver<Readiness>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Ops { metrics, readiness })
}

/// Serves the routes until `stop`, and at most 1 s beyond it.
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
        ended = server => ended,
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
        Readiness::NotReady(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"))
        }
    }
}
