//! Reads a request body within the bounds of memory and time, and decodes it.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;

use super::request::{self, Decoded};
use super::routes::Route;
use super::template::Captures;
use crate::error::GatewayError;
use crate::request_body::{BodyContext, HeldBytes};

/// A larger body is decoded outside of the event loop: it takes longer than a millisecond.
const INLINE_MAX_BYTES: usize = 64 << 10;

/// From this size on, memory for the rest of a body is reserved at once.
const RESERVE_FROM_BYTES: usize = 1 << 20;

/// The highest limit of a body that can be configured.
const BODY_MAX_BYTES: usize = 20 << 20;

/// Large bodies that are decoded at once. Decoding uses a whole CPU; further bodies wait.
static DECODERS: Semaphore = Semaphore::const_new(2);

/// A complete body, and its share of the memory for bodies.
pub(crate) struct ReadBody {
    bytes: Bytes,
    held: HeldBytes,
}

/// Reads a body to its end.
///
/// # Errors
/// The body is too large, too slow or incomplete, or the bodies in memory are at their limit.
pub(crate) async fn read(head: &Parts, mut body: Body) -> Result<ReadBody, GatewayError> {
    let context = head.extensions.get::<BodyContext>().cloned().unwrap_or_default();
    let mut held = context.hold();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let text = format!("reading the request body failed: {error}");
            context.failure.get().unwrap_or_else(|| GatewayError::invalid_request(text))
        })?;
        if let Ok(data) = frame.into_data() {
            held.grow(data.len())?;
            if bytes.len() >= RESERVE_FROM_BYTES && bytes.capacity() - bytes.len() < data.len() {
                // The length that the caller announced, which admission has bounded. Growing by
                // doubling would hold a large body up to three times.
                let rest = body.size_hint().upper().and_then(|rest| usize::try_from(rest).ok());
                bytes.reserve(data.len() + rest.unwrap_or_default().min(BODY_MAX_BYTES));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(ReadBody { bytes: bytes.freeze(), held })
}

/// Decodes a request. Its share of the memory is returned, to be held until the call was sent.
pub(crate) async fn decode(
    route: &'static Route,
    captures: Captures<'static>,
    head: Parts,
    body: ReadBody,
) -> Result<(Decoded, HeldBytes), GatewayError> {
    let ReadBody { bytes, held } = body;
    if bytes.len() <= INLINE_MAX_BYTES {
        return request::decode(route, captures, &head, &bytes).map(|decoded| (decoded, held));
    }
    let _decoder = DECODERS.acquire().await.expect("the semaphore stays open");
    let decode = move || request::decode(route, captures, &head, &bytes);
    let decoded = tokio::task::spawn_blocking(decode).await;
    let decoded = decoded
        .map_err(|error| GatewayError::internal(format!("decoding the request failed: {error}")))?;
    Ok((decoded?, held))
}
