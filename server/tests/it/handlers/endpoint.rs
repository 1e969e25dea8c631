//! An HTTP server that records its requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ReceivedRequest {
    /// Returns a header, or an empty string when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// The state that the routes share.
#[derive(Clone, Default)]
struct EndpointState {
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    dropped: Arc<Mutex<u32>>,
}

/// An HTTP listener that runs until it is dropped.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    state: EndpointState,
    serving: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Endpoint {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind a free port");
        let address = listener.local_addr().expect("a local address");
        let state = EndpointState::default();
        let routes = Router::new()
            .route("/echo", any(echo))
            .route("/flaky", any(flaky))
            .route("/hang", any(hang))
            .route("/big/{bytes}", any(big))
            .route("/status/{code}", any(status))
            .route("/to/{code}", any(redirect))
            .with_state(state.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("serve");
        });
        Self { address, state, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns all requests so far.
    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.requests.lock().expect("no poisoned lock").clone()
    }

    /// Returns the number of requests whose connection was closed before the response.
    pub(crate) fn dropped(&self) -> u32 {
        *self.state.dropped.lock().expect("no poisoned lock")
    }
}

/// Records a request and returns the number of requests so far.
fn record(
    state: &EndpointState,
    method: Method,
    uri: &Uri,
    headers: HeaderMap,
    body: Bytes,
) -> usize {
    let mut requests = state.requests.lock().expect("no poisoned lock");
    requests.push(ReceivedRequest { method, path: uri.path().to_owned(), headers, body });
    requests.len()
}

async fn echo(
    State(state): State<EndpointState>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    record(&state, method, &uri, headers, body.clone());
    (StatusCode::CREATED, [("x-response", "yes")], body).into_response()
}

/// Fails the first request with 503.
async fn flaky(
    State(state): State<EndpointState>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match record(&state, method, &uri, headers, body) {
        1 => {
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "0")], "later").into_response()
        }
        _ => "now".into_response(),
    }
}

/// Never responds.
async fn hang(
    State(state): State<EndpointState>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    struct DropCounter(Arc<Mutex<u32>>);
    impl Drop for DropCounter {
        fn drop(&mut self) {
            *self.0.lock().expect("no poisoned lock") += 1;
        }
    }
    let _counter = DropCounter(state.dropped.clone());
    record(&state, method, &uri, headers, body);
    std::future::pending().await
}

async fn big(Path(bytes): Path<usize>) -> String {
    "x".repeat(bytes)
}

async fn status(
    State(state): State<EndpointState>,
    Path(code): Path<u16>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    record(&state, method, &uri, headers, Bytes::new());
    (StatusCode::from_u16(code).expect("a status"), "no").into_response()
}

/// Redirects to the URL in the query string.
async fn redirect(
    State(state): State<EndpointState>,
    Path(code): Path<u16>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let location = uri.query().unwrap_or_default().to_owned();
    record(&state, method, &uri, headers, Bytes::new());
    let code = StatusCode::from_u16(code).expect("a status");
    (code, [(header::LOCATION, location)]).into_response()
}
