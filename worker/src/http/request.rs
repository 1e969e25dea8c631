//! What a payload asks for, checked whole before anything is dialled.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use sentinel_client::worker::{HandlerError, JobContext};
use serde_json::Value;
use url::Url;

use super::sign::{Secret, Secrets};
use crate::payload::{Fields, refusal, refused};

const MAX_URL_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_TIMEOUT_MS: u64 = 10 * 60 * 1000;
const DEFAULT_TIMEOUT_MS: u64 = 30 * 1000;
const MAX_REDIRECTS: u64 = 10;
const DEFAULT_REDIRECTS: u64 = 5;
const MAX_STATUSES: usize = 50;
/// As base64 with its envelope it stays below the 1 MiB of a result.
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

/// What the connection, the signature or a proxy is told by; a payload that sets one of these
/// would lie about another part of the request.
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

/// Statuses whose sender asks for another try, or had a moment of weakness.
const RETRIED: [u16; 3] = [408, 425, 429];

/// A request that can be sent.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) timeout: Duration,
    pub(super) max_redirects: u64,
    pub(super) max_response_bytes: usize,
    pub(super) secret: Option<Secret>,
    retried: Retried,
}

/// Which statuses get another attempt.
struct Retried {
    statuses: Vec<u16>,
    /// First digits.
    classes: Vec<u16>,
}

impl Request {
    pub(super) fn of(job: &JobContext, secrets: &Secrets) -> Result<Self, HandlerError> {
        let request = Self::parse(job.payload(), secrets)?;
        Ok(request.about(job))
    }

    pub(super) fn parse(payload: &[u8], secrets: &Secrets) -> Result<Self, HandlerError> {
        let mut fields = Fields::parse(payload)?;
        let url = url(&fields.text("url", None)?)?;
        let method = method(fields.text("method", Some("POST"))?)?;
        let headers = headers(fields.texts_by_name("headers", MAX_HEADERS, MAX_HEADER_BYTES)?)?;
        let body = fields.bytes("body")?;
        if body.is_some() && [Method::GET, Method::HEAD].contains(&method) {
            return Err(refused("body", &format!("is not sent with {method}")));
        }
        let timeout_ms =
            fields.between("timeout_ms", Some(DEFAULT_TIMEOUT_MS), (1, MAX_TIMEOUT_MS))?;
        let max_redirects =
            fields.number("max_redirects", Some(DEFAULT_REDIRECTS), MAX_REDIRECTS)?;
        let retried = retried(fields.list("retry_statuses", MAX_STATUSES)?)?;
        let most = fields.number(
            "max_response_bytes",
            Some(DEFAULT_RESPONSE_BYTES),
            MAX_RESPONSE_BYTES,
        )?;
        let secret = secret(fields.optional("signature_secret")?, secrets)?;
        fields.end()?;
        Ok(Self {
            method,
            url,
            headers,
            body: body.unwrap_or_default(),
            timeout: Duration::from_millis(timeout_ms),
            max_redirects,
            max_response_bytes: usize::try_from(most).unwrap_or(usize::MAX),
            secret,
            retried,
        })
    }

    /// Adds what tells the receiver about the job. An Idempotency-Key of the payload stays.
    fn about(mut self, job: &JobContext) -> Self {
        let attempt = format!("{}/{}/{}", job.job_id(), job.run(), job.attempt());
        for (name, value) in [("sentinel-job", job.job_id()), ("sentinel-attempt", &attempt)] {
            // A job id of a server is a UUID; whatever else it were, it is left out.
            if let Ok(value) = HeaderValue::from_str(value) {
                self.headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Ok(value) = HeaderValue::from_str(&attempt) {
            self.headers.entry("idempotency-key").or_insert(value);
        }
        self
    }

    pub(super) fn retries(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        self.retried.statuses.contains(&status) || self.retried.classes.contains(&(status / 100))
    }

    /// For the log of the job.
    pub(super) fn told(&self) -> String {
        let bytes = self.body.len();
        format!("{} {}, {bytes} bytes", self.method, without_query(&self.url))
    }
}

/// Queries often hold tokens; logs are read by more people than payloads.
pub(super) fn without_query(url: &Url) -> &str {
    &url[..url::Position::AfterPath]
}

/// Reads a target, of a payload or of a redirect.
pub(super) fn check_url(url: &Url) -> Result<(), &'static str> {
    if !["http", "https"].contains(&url.scheme()) {
        return Err("expected http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or a password: payloads are stored and shown");
    }
    if url.host().is_none() || url.port() == Some(0) {
        return Err("names no host and port to connect to");
    }
    Ok(())
}

fn url(text: &str) -> Result<Url, HandlerError> {
    if text.len() > MAX_URL_BYTES {
        let why = format!("expected at most {MAX_URL_BYTES} bytes, found {}", text.len());
        return Err(refused("url", &why));
    }
    let mut url = Url::parse(text).map_err(|error| {
        let expected = format!("a URL such as https://host/path ({error})");
        refusal("url", &expected, Some(&Value::from(text)))
    })?;
    check_url(&url).map_err(|why| refused("url", why))?;
    url.set_fragment(None);
    Ok(url)
}

fn method(text: String) -> Result<Method, HandlerError> {
    let known = METHODS.iter().find(|method| method.as_str() == text);
    known.cloned().ok_or_else(|| {
        let names: Vec<&str> = METHODS.iter().map(Method::as_str).collect();
        refusal("method", &format!("one of {}", names.join(", ")), Some(&Value::from(text)))
    })
}

fn headers(texts: Vec<(String, String)>) -> Result<HeaderMap, HandlerError> {
    let mut headers = HeaderMap::with_capacity(texts.len());
    for (name, value) in texts {
        let field = format!("headers.{name}");
        let name: HeaderName =
            name.parse().map_err(|_| refused(&field, "is not the name of a header"))?;
        if RESERVED.contains(&name) || name.as_str().starts_with(RESERVED_PREFIX) {
            return Err(refused(&field, "is set by the worker"));
        }
        let value = HeaderValue::from_str(&value)
            .map_err(|_| refused(&field, "expected visible ASCII characters and spaces"))?;
        if headers.insert(name, value).is_some() {
            return Err(refused(&field, "is there twice; names do not differ by case"));
        }
    }
    Ok(headers)
}

fn retried(items: Option<Vec<Value>>) -> Result<Retried, HandlerError> {
    let Some(items) = items else {
        return Ok(Retried { statuses: RETRIED.to_vec(), classes: vec![5] });
    };
    let mut retried = Retried { statuses: Vec::new(), classes: Vec::new() };
    for (at, item) in items.iter().enumerate() {
        let class = item.as_str().and_then(|text| match text {
            "3xx" => Some(3),
            "4xx" => Some(4),
            "5xx" => Some(5),
            _ => None,
        });
        let status = item.as_u64().filter(|status| (300..=599).contains(status));
        match (class, status.and_then(|status| u16::try_from(status).ok())) {
            (Some(class), _) => retried.classes.push(class),
            (None, Some(status)) => retried.statuses.push(status),
            (None, None) => {
                let expected = "a status 300..599, \"3xx\", \"4xx\" or \"5xx\"";
                return Err(refusal(&format!("retry_statuses[{at}]"), expected, Some(item)));
            }
        }
    }
    Ok(retried)
}

fn secret(name: Option<String>, secrets: &Secrets) -> Result<Option<Secret>, HandlerError> {
    let Some(name) = name else { return Ok(None) };
    let known = secrets.get(&name).cloned();
    known.map(Some).ok_or_else(|| {
        // The names are the operator's; payloads do not get to list them.
        refusal("signature_secret", "the name of a secret of this worker", Some(&name.into()))
    })
}

#[cfg(test)]
mod tests;
