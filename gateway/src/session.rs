//! Sign-in of the panel. The key becomes a cookie that no script can read, and a request of the
//! same origin that brings no credential of its own gets it from there. Nothing is kept here, so
//! any gateway takes the cookie of any other, and the server judges the key each time.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use sentinel_proto::admin::v1::ListQueuesRequest;
use sentinel_proto::admin::v1::queue_service_client::QueueServiceClient;
use serde::{Deserialize, Serialize};
use tonic::Code;
use tonic::metadata::MetadataValue;

use crate::caller;
use crate::refusal::Refusal;
use crate::upstream::Upstream;

const COOKIE: &str = "sentinel_key";

/// Longer text is no key.
const KEY_MAX_BYTES: usize = 512;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    signed_in: bool,
}

/// Whether the browser has a cookie. Whether its key is still good, the next call says.
pub(crate) async fn show(headers: HeaderMap) -> Response {
    Json(Session { signed_in: cookie(&headers).is_some() }).into_response()
}

/// Tries the key at the server and hands it back as a cookie.
pub(crate) async fn sign_in(
    State(upstream): State<Upstream>,
    headers: HeaderMap,
    body: Result<Json<SignIn>, JsonRejection>,
) -> Response {
    let answer = async {
        if !caller::is_same_origin(&headers) {
            return Err(Refusal::foreign_origin());
        }
        let Json(SignIn { key }) = body.map_err(|error| {
            Refusal::bad_request(format!("expected {{\"key\": \"snt_...\"}}: {error}"))
        })?;
        let key = key.trim();
        let is_text = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if key.is_empty() || key.len() > KEY_MAX_BYTES || !is_text {
            return Err(Refusal::bad_credential("that is not the text of a key: snt_..."));
        }
        try_key(&upstream, key).await?;
        Ok(set_cookie(key, &headers, None))
    };
    answer.await.unwrap_or_else(|refusal| refusal.answer(&headers))
}

/// Takes the cookie away.
pub(crate) async fn sign_out(headers: HeaderMap) -> Response {
    if !caller::is_same_origin(&headers) {
        return Refusal::foreign_origin().answer(&headers);
    }
    set_cookie("", &headers, Some(0))
}

/// A key that may not list queues is a key all the same.
async fn try_key(upstream: &Upstream, key: &str) -> Result<(), Refusal> {
    let bearer = MetadataValue::try_from(format!("Bearer {key}"));
    let bearer = bearer.map_err(|_| Refusal::bad_credential("that is not the text of a key"))?;
    let mut queues = QueueServiceClient::new(upstream.clone());
    let mut request =
        tonic::Request::new(ListQueuesRequest { page_size: 1, page_token: String::new() });
    request.metadata_mut().insert("authorization", bearer);
    match queues.list_queues(request).await {
        Ok(_) => Ok(()),
        Err(status) => match status.code() {
            Code::PermissionDenied => Ok(()),
            Code::Unauthenticated => Err(Refusal::bad_credential(status.message())),
            _ => Err(Refusal::unavailable(status.message())),
        },
    }
}

fn set_cookie(key: &str, headers: &HeaderMap, max_age: Option<u32>) -> Response {
    // A browser sends no cookie with Secure over http://, and on loopback there is no other.
    let secure = if is_https(headers) { "; Secure" } else { "" };
    let age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{COOKIE}={key}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    match HeaderValue::from_str(&text) {
        Ok(mut value) => {
            value.set_sensitive(true);
            (StatusCode::NO_CONTENT, [(header::SET_COOKIE, value)]).into_response()
        }
        Err(_) => Refusal::bad_credential("that is not the text of a key").answer(headers),
    }
}

fn is_https(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
    let origin = origin.and_then(|text| text.parse::<Uri>().ok());
    origin.is_some_and(|origin| origin.scheme_str() == Some("https"))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, key) = pairs.find(|(name, _)| name.trim() == COOKIE)?;
    Some(key.trim()).filter(|key| !key.is_empty())
}

/// Puts the key of the cookie on a request that brings none, where the page is our own.
pub(crate) async fn lend(mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !headers.contains_key(header::AUTHORIZATION) && caller::is_same_origin(headers) {
        let bearer = cookie(headers).map(|key| HeaderValue::from_str(&format!("Bearer {key}")));
        if let Some(Ok(mut bearer)) = bearer {
            bearer.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
    }
    next.run(request).await
}
