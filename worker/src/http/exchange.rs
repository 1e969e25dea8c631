//! One request and its redirects, each on a connection of its own: nothing is kept open between
//! jobs, so what is dropped is closed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sentinel_client::worker::{HandlerError, JobContext, LogLevel};
use url::Url;

use super::Shared;
use super::connect::{ConnectError, Connected, connect};
use super::request::{Request, check_url, without_query};
use crate::clock::unix_s;

/// Head of a response: status line and headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const USER_AGENT: &str = concat!("sentinel-worker/", env!("CARGO_PKG_VERSION"));

/// What another origin gets to see. Anything else may be a credential.
const KEPT_ACROSS_ORIGINS: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::USER_AGENT,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("sentinel-job"),
    HeaderName::from_static("sentinel-attempt"),
];

/// What came back.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) truncated: bool,
    pub(super) url: Url,
    pub(super) redirects: u64,
    pub(super) took: Duration,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no answer from {host} at {address}: {source}")]
    Http { host: String, address: SocketAddr, source: hyper::Error },
    #[error("the request to {host} can not be written: {source}")]
    Unsendable { host: String, source: http::Error },
    #[error("{from} redirects to {location:?}: {why}")]
    Redirect { from: String, location: String, why: &'static str },
    #[error("over {max} redirects (payload.max_redirects), the last one to {to}")]
    TooManyRedirects { max: u64, to: String },
}

impl ExchangeError {
    pub(super) fn into_failure(self) -> HandlerError {
        let text = self.to_string();
        match self {
            ExchangeError::Connect(error) => error.into_failure(),
            ExchangeError::Http { .. } => HandlerError::retryable(text).with_code("HTTP_EXCHANGE"),
            ExchangeError::Unsendable { .. } => {
                HandlerError::non_retryable(text).with_code("BAD_PAYLOAD")
            }
            ExchangeError::Redirect { .. } | ExchangeError::TooManyRedirects { .. } => {
                HandlerError::non_retryable(text).with_code("HTTP_REDIRECT")
            }
        }
    }
}

/// A request on its way.
pub(super) struct Call<'a> {
    pub(super) job: &'a JobContext,
    pub(super) shared: &'a Shared,
    pub(super) request: &'a Request,
}

/// What is sent next; redirects change it.
struct Leg {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    is_signed: bool,
}

impl Call<'_> {
    pub(super) async fn run(&self) -> Result<Response, ExchangeError> {
        let start = Instant::now();
        let request = self.request;
        let mut leg = Leg {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            is_signed: request.secret.is_some(),
        };
        let mut redirects = 0;
        loop {
            let mut response = self.send(&leg).await?;
            response.redirects = redirects;
            response.took = start.elapsed();
            let target = redirect(&leg.url, &response)?;
            let Some(target) = target.filter(|_| request.max_redirects > 0) else {
                return Ok(response);
            };
            let to = without_query(&target).to_owned();
            if redirects == request.max_redirects {
                return Err(ExchangeError::TooManyRedirects { max: redirects, to });
            }
            redirects += 1;
            self.job.log(LogLevel::Info, format!("{} redirects to {to}", response.status));
            leg.turn(response.status, target);
        }
    }

    async fn send(&self, leg: &Leg) -> Result<Response, ExchangeError> {
        let Connected { wire, address } = connect(&leg.url, self.shared).await?;
        let host = leg.url.host_str().unwrap_or_default();
        let failed = |source| ExchangeError::Http { host: host.to_owned(), address, source };
        let message = self.message(leg)?;
        let mut http = http1::Builder::new();
        http.max_buf_size(MAX_HEAD_BYTES);
        let (mut sender, connection) = http.handshake(TokioIo::new(wire)).await.map_err(failed)?;
        let exchange = async {
            let (head, body) = sender.send_request(message).await?.into_parts();
            let (body, truncated) = read(body, self.request.max_response_bytes).await?;
            Ok(Response {
                status: head.status,
                headers: head.headers,
                body,
                truncated,
                url: leg.url.clone(),
                redirects: 0,
                took: Duration::ZERO,
            })
        };
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            response = &mut exchange => return response.map_err(failed),
            // The connection has done its part, well or badly: the exchange knows which.
            _ = connection => {}
        }
        exchange.await.map_err(failed)
    }

    fn message(&self, leg: &Leg) -> Result<http::Request<Full<Bytes>>, ExchangeError> {
        let host = leg.url.host_str().unwrap_or_default();
        let authority = match leg.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let mut message = http::Request::builder()
            .method(leg.method.clone())
            .uri(&leg.url[url::Position::BeforePath..url::Position::AfterQuery])
            .header(header::HOST, authority)
            .body(Full::new(leg.body.clone()))
            .map_err(|source| ExchangeError::Unsendable { host: host.to_owned(), source })?;
        let headers = message.headers_mut();
        headers.extend(leg.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(secret) = self.request.secret.as_ref().filter(|_| leg.is_signed) {
            let now_s = unix_s();
            headers.insert("sentinel-timestamp", HeaderValue::from(now_s));
            // Hexadecimal digits are a header value.
            if let Ok(signature) = HeaderValue::from_str(&secret.signature(now_s, &leg.body)) {
                headers.insert("sentinel-signature", signature);
            }
        }
        Ok(message)
    }
}

impl Leg {
    /// Goes where a redirect points, as browsers do.
    fn turn(&mut self, status: StatusCode, target: Url) {
        let to_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if to_get {
            self.method = Method::GET;
            self.body = Bytes::new();
            self.headers.remove(header::CONTENT_TYPE);
        }
        if target.origin() != self.url.origin() {
            self.is_signed = false;
            let kept = |name: &HeaderName| KEPT_ACROSS_ORIGINS.contains(name);
            let headers = std::mem::take(&mut self.headers);
            // A name is only there for the first value; values are single here.
            let named = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
            self.headers = named.filter(|(name, _)| kept(name)).collect();
        }
        self.url = target;
    }
}

/// Where a response points, when it is a redirect.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, ExchangeError> {
    let Some(location) = response.headers.get(header::LOCATION) else { return Ok(None) };
    if !matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
    let refused = |why| ExchangeError::Redirect {
        from: without_query(from).to_owned(),
        location: location.clone(),
        why,
    };
    let mut target = from.join(&location).map_err(|_| refused("that is no URL"))?;
    check_url(&target).map_err(refused)?;
    if from.scheme() == "https" && target.scheme() == "http" {
        return Err(refused("away from TLS, which is not followed"));
    }
    target.set_fragment(None);
    Ok(Some(target))
}

/// The body up to `most` bytes, and whether there was more.
async fn read(mut body: Incoming, most: usize) -> Result<(Bytes, bool), hyper::Error> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = most - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((read.freeze(), true));
        }
    }
    Ok((read.freeze(), false))
}

#[cfg(test)]
mod tests;
