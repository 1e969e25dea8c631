//! Converts a response into the outcome of the attempt: 2xx succeeds, the statuses in
//! `retry_statuses` (408, 425, 429 and 5xx by default) are retried, all others fail without a
//! retry.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use sentinel_client::worker::{HandlerError, JobContext, LogLevel, Outcome};
use serde_json::{Map, Value, json};

use super::exchange::Response;
use super::request::{Request, without_query};
use crate::clock::wall_clock;

/// Maximum delay that `Retry-After` can request.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// Maximum length of the response body in an error message.
const SHOWN_CHARS: usize = 500;
/// Maximum size of the headers in a result, names and values together.
const MAX_RESULT_HEADER_BYTES: usize = 32 * 1024;

pub(super) fn from_response(
    job: &JobContext,
    request: &Request,
    response: Response,
) -> Result<Outcome, HandlerError> {
    let Response { status, took, .. } = response;
    let bytes = response.body.len();
    let cut = if response.truncated { ", truncated" } else { "" };
    let line = format!("received {status} in {} ms with {bytes} bytes{cut}", took.as_millis());
    if status.is_success() {
        job.log(LogLevel::Info, line);
        return Ok(Outcome::Succeed(result(&response).to_string().into()));
    }
    job.log(LogLevel::Error, line);
    let shown: String = String::from_utf8_lossy(&response.body).chars().take(SHOWN_CHARS).collect();
    let text = format!("{status} from {}: {shown}", without_query(&response.url));
    let error = match (request.is_retryable(status), retry_after(&response.headers, wall_clock())) {
        (true, Some(delay)) => HandlerError::retryable(text).with_next_delay(delay),
        (true, None) => HandlerError::retryable(text),
        (false, _) => HandlerError::non_retryable(text),
    };
    Err(error.with_code(format!("HTTP_{}", status.as_u16())))
}

/// Writes an error to the job's log and returns it.
pub(super) fn log_error(job: &JobContext, error: HandlerError) -> HandlerError {
    job.log(LogLevel::Error, error.message());
    error
}

/// Returns the delay in `Retry-After`, which is in seconds or a time. A time is compared to the
/// `Date` header if present, so that the server's clock is used.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let time = |name| httpdate::parse_http_date(text(name)?).ok();
    let delay = match text(header::RETRY_AFTER)?.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = time(header::DATE).unwrap_or(now);
            time(header::RETRY_AFTER)?.duration_since(now).unwrap_or_default()
        }
    };
    Some(delay.min(MAX_RETRY_AFTER))
}

fn result(response: &Response) -> Value {
    let mut result = json!({
        "status": response.status.as_u16(),
        "headers": headers(&response.headers),
        "truncated": response.truncated,
        "url": response.url.as_str(),
        "redirects": response.redirects,
        "took_ms": u64::try_from(response.took.as_millis()).unwrap_or(u64::MAX),
    });
    let encoded = STANDARD.encode(&response.body);
    // JSON escapes make a text of control characters six times as long.
    let text = std::str::from_utf8(&response.body).map(Value::from).ok();
    let text = text.filter(|text| text.to_string().len() <= encoded.len().max(64 * 1024));
    match text {
        Some(text) => result["body"] = text,
        None => result["body_base64"] = encoded.into(),
    }
    result
}

/// Returns the headers as an object. Values of the same name are joined by `, `. Headers above the
/// limit are left out.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut map = Map::new();
    let mut bytes = 0;
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()));
        let joined = values.collect::<Vec<_>>().join(", ");
        bytes += name.as_str().len() + joined.len();
        if bytes > MAX_RESULT_HEADER_BYTES {
            break;
        }
        map.insert(name.as_str().to_owned(), joined.into());
    }
    map
}

#[cfg(test)]
mod tests;
