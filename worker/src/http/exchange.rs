//! Sends a request and follows its redirects, each on a new connection. No connection is reused, so
//! dropping the future closes everything.

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

use super::HandlerState;
use super::connect::{ConnectError, Connected, connect};
use super::request::{Request, check_url, without_query};
use crate::clock::unix_s;

/// Maximum size of the status line and the headers of a response.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const USER_AGENT: &str = concat!("sentinel-worker/", env!("CARGO_PKG_VERSION"));

/// Headers that are also sent to another origin. All others may contain credentials.
const CROSS_ORIGIN_HEADERS: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::USER_AGENT,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("sentinel-job"),
    HeaderName::from_static("sentinel-attempt"),
];

/// A received response.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) truncated: bool,
    pub(super) url: Url,
    pub(super) redirects: u64,
    pub(super) took: Duration,
}

/// Why no response was received.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("request to {host} at {address} failed: {source}")]
    Http { host: String, address: SocketAddr, source: hyper::Error },
    #[error("cannot encode the request to {host}: {source}")]
    Encode { host: String, source: http::Error },
    #[error("{from} redirects to {location:?}: {reason}")]
    Redirect { from: String, location: String, reason: &'static str },
    #[error("more than {max} redirects (payload.max_redirects), the last one to {to}")]
    TooManyRedirects { max: u64, to: String },
}

impl ExchangeError {
    pub(super) fn into_handler_error(self) -> HandlerError {
        let text = self.to_string();
        match self {
            ExchangeError::Connect(error) => error.into_handler_error(),
            ExchangeError::Http { .. } => HandlerError::retryable(text).with_code("HTTP_EXCHANGE"),
            ExchangeError::Encode { .. } => {
                HandlerError::non_retryable(text).with_code("BAD_PAYLOAD")
            }
            ExchangeError::Redirect { .. } | ExchangeError::TooManyRedirects { .. } => {
                HandlerError::non_retryable(text).with_code("HTTP_REDIRECT")
            }
        }
    }
}

/// A request and what is needed to send it.
pub(super) struct Call<'a> {
    pub(super) job: &'a JobContext,
    pub(super) state: &'a HandlerState,
    pub(super) request: &'a Request,
}

/// The request to send next. Redirects modify it.
struct Hop {
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
        let mut hop = Hop {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            is_signed: request.secret.is_some(),
        };
        let mut redirects = 0;
        loop {
            let mut response = self.send(&hop).await?;
            response.redirects = redirects;
            response.took = start.elapsed();
            let target = redirect_target(&hop.url, &response)?;
            let Some(target) = target.filter(|_| request.max_redirects > 0) else {
                return Ok(response);
            };
            let to = without_query(&target).to_owned();
            if redirects == request.max_redirects {
                return Err(ExchangeError::TooManyRedirects { max: redirects, to });
            }
            redirects += 1;
            self.job.log(LogLevel::Info, format!("{} redirects to {to}", response.status));
            hop.redirect_to(response.status, target);
        }
    }

    async fn send(&self, hop: &Hop) -> Result<Response, ExchangeError> {
        let Connected { stream, address } = connect(&hop.url, self.state).await?;
        let host = hop.url.host_str().unwrap_or_default();
        let failed = |source| ExchangeError::Http { host: host.to_owned(), address, source };
        let message = self.message(hop)?;
        let mut http = http1::Builder::new();
        http.max_buf_size(MAX_HEAD_BYTES);
        let (mut sender, connection) =
            http.handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let exchange = async {
            let (head, body) = sender.send_request(message).await?.into_parts();
            let (body, truncated) = read(body, self.request.max_response_bytes).await?;
            Ok(Response {
                status: head.status,
                headers: head.headers,
                body,
                truncated,
                url: hop.url.clone(),
                redirects: 0,
                took: Duration::ZERO,
            })
        };
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            response = &mut exchange => return response.map_err(failed),
            // The connection has closed; the exchange has the response or the error.
            _ = connection => {}
        }
        exchange.await.map_err(failed)
    }

    fn message(&self, hop: &Hop) -> Result<http::Request<Full<Bytes>>, ExchangeError> {
        let host = hop.url.host_str().unwrap_or_default();
        let authority = match hop.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let mut message = http::Request::builder()
            .method(hop.method.clone())
            .uri(&hop.url[url::Position::BeforePath..url::Position::AfterQuery])
            .header(header::HOST, authority)
            .body(Full::new(hop.body.clone()))
            .map_err(|source| ExchangeError::Encode { host: host.to_owned(), source })?;
        let headers = message.headers_mut();
        headers.extend(hop.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(secret) = self.request.secret.as_ref().filter(|_| hop.is_signed) {
            let now_s = unix_s();
            headers.insert("sentinel-timestamp", HeaderValue::from(now_s));
            // Does not fail for hexadecimal digits.
            if let Ok(signature) = HeaderValue::from_str(&secret.signature(now_s, &hop.body)) {
                headers.insert("sentinel-signature", signature);
            }
        }
        Ok(message)
    }
}

impl Hop {
    /// Applies a redirect as browsers do.
    fn redirect_to(&mut self, status: StatusCode, target: Url) {
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
            let is_kept = |name: &HeaderName| CROSS_ORIGIN_HEADERS.contains(name);
            let headers = std::mem::take(&mut self.headers);
            // `HeaderMap` yields a name only with its first value; here each name has one value.
            let named = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
            self.headers = named.filter(|(name, _)| is_kept(name)).collect();
        }
        self.url = target;
    }
}

/// Returns the target of a redirect, or `None` if the response is no redirect.
fn redirect_target(from: &Url, response: &Response) -> Result<Option<Url>, ExchangeError> {
    let Some(location) = response.headers.get(header::LOCATION) else { return Ok(None) };
    if !matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
    let invalid = |reason| ExchangeError::Redirect {
        from: without_query(from).to_owned(),
        location: location.clone(),
        reason,
    };
    let mut target = from.join(&location).map_err(|_| invalid("not a valid URL"))?;
    check_url(&target).map_err(invalid)?;
    if from.scheme() == "https" && target.scheme() == "http" {
        return Err(invalid("redirects from https to http are not followed"));
    }
    target.set_fragment(None);
    Ok(Some(target))
}

/// Reads at most `max` bytes of the body. The flag says whether the body is longer.
async fn read(mut body: Incoming, max: usize) -> Result<(Bytes, bool), hyper::Error> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let space = max - read.len();
        read.extend_from_slice(&data[..data.len().min(space)]);
        if data.len() > space {
            return Ok((read.freeze(), true));
        }
    }
    Ok((read.freeze(), false))
}

#[cfg(test)]
mod tests;
