//! An HTTP server that tells what reached it.

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

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// One header; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

#[derive(Clone, Default)]
struct Shared {
    seen: Arc<Mutex<Vec<Seen>>>,
    dropped: Arc<Mutex<u32>>,
}

/// Listens until it is dropped.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    shared: Shared,
    serving: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Endpoint {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Shared::default();
        let routes = Router::new()
            .route("/echo", any(echo))
            .route("/flaky", any(flaky))
            .route("/hang", any(hang))
            .route("/big/{bytes}", any(big))
            .route("/status/{code}", any(status))
            .route("/to/{code}", any(to))
            .with_state(shared.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("serve");
        });
        Self { address, shared, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All that arrived so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no panic inside").clone()
    }

    /// Requests whose senders went away before the answer.
    pub(crate) fn dropped(&self) -> u32 {
        *self.shared.dropped.lock().expect("no panic inside")
    }
}

fn note(shared: &Shared, method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> usize {
    let mut seen = shared.seen.lock().expect("no panic inside");
    seen.push(Seen { method, path: uri.path().to_owned(), headers, body });
    seen.len()
}

async fn echo(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    note(&shared, method, &uri, headers, body.clone());
    (StatusCode::CREATED, [("x-answer", "yes")], body).into_response()
}

/// Refuses the first request.
async fn flaky(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match note(&shared, method, &uri, headers, body) {
        1 => {
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "0")], "later").into_response()
        }
        _ => "now".into_response(),
    }
}

/// Never answers.
async fn hang(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    struct Gone(Arc<Mutex<u32>>);
    impl Drop for Gone {
        fn drop(&mut self) {
            *self.0.lock().expect("no panic inside") += 1;
        }
    }
    let _gone = Gone(shared.dropped.clone());
    note(&shared, method, &uri, headers, body);
    std::future::pending().await
}

async fn big(Path(bytes): Path<usize>) -> String {
    "x".repeat(bytes)
}

async fn status(
    State(shared): State<Shared>,
    Path(code): Path<u16>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    note(&shared, method, &uri, headers, Bytes::new());
    (StatusCode::from_u16(code).expect("a status"), "no").into_response()
}

/// Redirects to the URL that is the query.
async fn to(
    State(shared): State<Shared>,
    Path(code): Path<u16>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let location = uri.query().unwrap_or_default().to_owned();
    note(&shared, method, &uri, headers, Bytes::new());
    let code = StatusCode::from_u16(code).expect("a status");
    (code, [(header::LOCATION, location)]).into_response()
}
