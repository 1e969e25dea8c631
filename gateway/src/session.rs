//! Sign-in of the panel. The API key becomes an HttpOnly cookie; for a same-origin request
//! without a credential of its own, the gateway uses the key in the cookie. The gateway keeps no
//! session state, so every gateway takes every cookie, and the server checks the key each time.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use tonic::Code;

use crate::error::GatewayError;
use crate::key_check;
use crate::origin;
use crate::upstream::Upstream;

const COOKIE: &str = "sentinel_key";

const KEY_MAX_BYTES: usize = 512;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInRequest {
    key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionResponse {
    signed_in: bool,
}

/// `GET /session`: returns whether the browser has the cookie. The key in it may be revoked.
pub(crate) async fn show(headers: HeaderMap) -> Response {
    Json(SessionResponse { signed_in: key_of(&headers).is_some() }).into_response()
}

/// `POST /session`: checks the key with the server and sets the cookie.
pub(crate) async fn sign_in(
    State(upstream): State<Upstream>,
    headers: HeaderMap,
    body: Result<Json<SignInRequest>, JsonRejection>,
) -> Response {
    let response = async {
        check_same_origin(&headers)?;
        let Json(SignInRequest { key }) = body.map_err(|error| {
            GatewayError::invalid_request(format!("expected {{\"key\": \"snt_...\"}}: {error}"))
        })?;
        let key = key.trim();
        let is_alphanumeric = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if key.is_empty() || key.len() > KEY_MAX_BYTES || !is_alphanumeric {
            return Err(malformed_key());
        }
        check_key(&upstream, key).await?;
        Ok(set_cookie(key, &headers, None))
    };
    response.await.unwrap_or_else(|error| error.response_to(&headers))
}

/// `DELETE /session`: deletes the cookie.
pub(crate) async fn sign_out(headers: HeaderMap) -> Response {
    match check_same_origin(&headers) {
        Ok(()) => set_cookie("", &headers, Some(0)),
        Err(error) => error.response_to(&headers),
    }
}

fn check_same_origin(headers: &HeaderMap) -> Result<(), GatewayError> {
    if origin::is_same_origin(headers) {
        return Ok(());
    }
    Err(GatewayError::origin_not_allowed("only pages of the gateway itself may sign in and out"))
}

fn malformed_key() -> GatewayError {
    GatewayError::invalid_credential("the API key is malformed; expected text such as snt_...")
}

/// Asks the server whether the key is valid.
async fn check_key(upstream: &Upstream, key: &str) -> Result<(), GatewayError> {
    let bearer = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| malformed_key())?;
    key_check::ask(upstream, Some(&bearer)).await.map_err(|error| match error.code() {
        Code::Unauthenticated => GatewayError::invalid_credential(error.message()),
        _ => GatewayError::unavailable(error.message()),
    })
}

fn set_cookie(key: &str, headers: &HeaderMap, max_age: Option<u32>) -> Response {
    // Browsers drop a Secure cookie that comes over http://, which a gateway on loopback uses.
    let secure = if is_https(headers) { "; Secure" } else { "" };
    let age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{COOKIE}={key}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    match HeaderValue::from_str(&text) {
        Ok(mut value) => {
            value.set_sensitive(true);
            (StatusCode::NO_CONTENT, [(header::SET_COOKIE, value)]).into_response()
        }
        Err(_) => malformed_key().response_to(headers),
    }
}

fn is_https(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
    let origin = origin.and_then(|text| text.parse::<Uri>().ok());
    origin.is_some_and(|origin| origin.scheme_str() == Some("https"))
}

/// Returns the key in the cookie.
fn key_of(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, key) = pairs.find(|(name, _)| name.trim() == COOKIE)?;
    Some(key.trim()).filter(|key| !key.is_empty())
}

/// Middleware that authorizes a same-origin request without a credential by its cookie.
pub(crate) async fn authorize_by_cookie(mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !headers.contains_key(header::AUTHORIZATION) && origin::is_same_origin(headers) {
        let bearer = key_of(headers).map(|key| HeaderValue::from_str(&format!("Bearer {key}")));
        if let Some(Ok(mut bearer)) = bearer {
            bearer.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
    }
    next.run(request).await
}
