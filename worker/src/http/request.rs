//! Parses and validates the payload before a connection is opened.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use sentinel_client::worker::{HandlerError, JobContext};
use serde_json::Value;
use url::Url;

use super::sign::{Secret, Secrets};
use crate::payload::{Fields, invalid, unexpected};

const MAX_URL_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_TIMEOUT_MS: u64 = 10 * 60 * 1000;
const DEFAULT_TIMEOUT_MS: u64 = 30 * 1000;
const MAX_REDIRECTS: u64 = 10;
const DEFAULT_REDIRECTS: u64 = 5;
const MAX_STATUSES: usize = 50;
/// Encoded as base64 in a result it stays below the limit of 1 MiB.
const MAX_RESPONSE_BYTES: u64 = 512 * 1024;
const DEFAULT_RESPONSE_BYTES: u64 = 256 * 1024;

pub(super) const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Headers that the worker sets or that control the connection. A payload cannot set them.
const RESERVED: [HeaderName; 10] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
];
pub(super) const RESERVED_PREFIX: &str = "sentinel-";

/// Statuses that are retried by default, in addition to 5xx.
const DEFAULT_RETRY_STATUSES: [u16; 3] = [408, 425, 429];

/// A validated request.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) timeout: Duration,
    pub(super) max_redirects: u64,
    pub(super) max_response_bytes: usize,
    pub(super) secret: Option<Secret>,
    retry_statuses: RetryStatuses,
}

/// Statuses that are retried.
struct RetryStatuses {
    statuses: Vec<u16>,
    /// The first digits of status classes.
    classes: Vec<u16>,
}

impl Request {
    pub(super) fn of(job: &JobContext, secrets: &Secrets) -> Result<Self, HandlerError> {
        let request = Self::parse(job.payload(), secrets)?;
        Ok(request.with_job_headers(job))
    }

    pub(super) fn parse(payload: &[u8], secrets: &Secrets) -> Result<Self, HandlerError> {
        let mut fields = Fields::parse(payload)?;
        let url = url(&fields.text("url", None)?)?;
        let method = method(fields.text("method", Some("POST"))?)?;
        let headers = headers(fields.texts_by_name("headers", MAX_HEADERS, MAX_HEADER_BYTES)?)?;
        let body = fields.bytes("body")?;
        if body.is_some() && [Method::GET, Method::HEAD].contains(&method) {
            return Err(invalid("body", &format!("is not sent with {method}")));
        }
        let timeout_ms =
            fields.between("timeout_ms", Some(DEFAULT_TIMEOUT_MS), (1, MAX_TIMEOUT_MS))?;
        let max_redirects =
            fields.number("max_redirects", Some(DEFAULT_REDIRECTS), MAX_REDIRECTS)?;
        let retry_statuses = retry_statuses(fields.list("retry_statuses", MAX_STATUSES)?)?;
        let max_response_bytes = fields.number(
            "max_response_bytes",
            Some(DEFAULT_RESPONSE_BYTES),
            MAX_RESPONSE_BYTES,
        )?;
        let secret = secret(fields.optional_text("signature_secret")?, secrets)?;
        fields.finish()?;
        Ok(Self {
            method,
            url,
            headers,
            body: body.unwrap_or_default(),
            timeout: Duration::from_millis(timeout_ms),
            max_redirects,
            max_response_bytes: usize::try_from(max_response_bytes).unwrap_or(usize::MAX),
            secret,
            retry_statuses,
        })
    }

    /// Adds the headers that identify the job. An Idempotency-Key in the payload takes precedence.
    fn with_job_headers(mut self, job: &JobContext) -> Self {
        let attempt = format!("{}/{}/{}", job.job_id(), job.run(), job.attempt());
        for (name, value) in [("sentinel-job", job.job_id()), ("sentinel-attempt", &attempt)] {
            // Does not fail for job ids, which are UUIDs.
            if let Ok(value) = HeaderValue::from_str(value) {
                self.headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Ok(value) = HeaderValue::from_str(&attempt) {
            self.headers.entry("idempotency-key").or_insert(value);
        }
        self
    }

    /// Returns whether an attempt with this status is retried.
    pub(super) fn is_retryable(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        let RetryStatuses { statuses, classes } = &self.retry_statuses;
        statuses.contains(&status) || classes.contains(&(status / 100))
    }

    /// Returns a line for the job's log.
    pub(super) fn summary(&self) -> String {
        let bytes = self.body.len();
        format!("{} {}, {bytes} bytes", self.method, without_query(&self.url))
    }
}

/// Returns a URL without its query for logs and errors, since queries often contain tokens.
pub(super) fn without_query(url: &Url) -> &str {
    &url[..url::Position::AfterPath]
}

/// Checks the URL of a payload or of a redirect.
pub(super) fn check_url(url: &Url) -> Result<(), &'static str> {
    if !["http", "https"].contains(&url.scheme()) {
        return Err("expected http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password, which would be stored and displayed");
    }
    if url.host().is_none() || url.port() == Some(0) {
        return Err("has no valid host and port");
    }
    Ok(())
}

fn url(text: &str) -> Result<Url, HandlerError> {
    if text.len() > MAX_URL_BYTES {
        let reason = format!("expected at most {MAX_URL_BYTES} bytes, found {}", text.len());
        return Err(invalid("url", &reason));
    }
    let mut url = Url::parse(text).map_err(|error| {
        let expected = format!("a URL such as https://host/path ({error})");
        unexpected("url", &expected, Some(&Value::from(text)))
    })?;
    check_url(&url).map_err(|reason| invalid("url", reason))?;
    url.set_fragment(None);
    Ok(url)
}

fn method(text: String) -> Result<Method, HandlerError> {
    let known = METHODS.iter().find(|method| method.as_str() == text);
    known.cloned().ok_or_else(|| {
        let names: Vec<&str> = METHODS.iter().map(Method::as_str).collect();
        unexpected("method", &format!("one of {}", names.join(", ")), Some(&Value::from(text)))
    })
}

fn headers(texts: Vec<(String, String)>) -> Result<HeaderMap, HandlerError> {
    let mut headers = HeaderMap::with_capacity(texts.len());
    for (name, value) in texts {
        let field = format!("headers.{name}");
        let name: HeaderName =
            name.parse().map_err(|_| invalid(&field, "is not a valid header name"))?;
        if RESERVED.contains(&name) || name.as_str().starts_with(RESERVED_PREFIX) {
            return Err(invalid(&field, "is set by the worker"));
        }
        let value = HeaderValue::from_str(&value)
            .map_err(|_| invalid(&field, "expected visible ASCII characters and spaces"))?;
        if headers.insert(name, value).is_some() {
            return Err(invalid(&field, "is listed twice (names are case-insensitive)"));
        }
    }
    Ok(headers)
}

fn retry_statuses(items: Option<Vec<Value>>) -> Result<RetryStatuses, HandlerError> {
    let Some(items) = items else {
        return Ok(RetryStatuses { statuses: DEFAULT_RETRY_STATUSES.to_vec(), classes: vec![5] });
    };
    let mut retry = RetryStatuses { statuses: Vec::new(), classes: Vec::new() };
    for (at, item) in items.iter().enumerate() {
        let class = item.as_str().and_then(|text| match text {
            "3xx" => Some(3),
            "4xx" => Some(4),
            "5xx" => Some(5),
            _ => None,
        });
        let status = item.as_u64().filter(|status| (300..=599).contains(status));
        match (class, status.and_then(|status| u16::try_from(status).ok())) {
            (Some(class), _) => retry.classes.push(class),
            (None, Some(status)) => retry.statuses.push(status),
            (None, None) => {
                let expected = "a status 300..599, \"3xx\", \"4xx\" or \"5xx\"";
                return Err(unexpected(&format!("retry_statuses[{at}]"), expected, Some(item)));
            }
        }
    }
    Ok(retry)
}

fn secret(name: Option<String>, secrets: &Secrets) -> Result<Option<Secret>, HandlerError> {
    let Some(name) = name else { return Ok(None) };
    let known = secrets.get(&name).cloned();
    known.map(Some).ok_or_else(|| {
        // Does not list the names of the secrets, which are configured by the operator.
        unexpected("signature_secret", "the name of a secret of this worker", Some(&name.into()))
    })
}

#[cfg(test)]
mod tests;
