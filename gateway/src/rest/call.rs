//! Calls the server with messages of any type, by passing them as encoded bytes.

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, header};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::routes::Route;
use crate::error::GatewayError;
use crate::upstream::Upstream;

/// Request headers that are forwarded to the server.
const FORWARDED: [HeaderName; 5] = [
    header::AUTHORIZATION,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-request-id"),
];

/// The limit of a response. The server sends at most 12 MiB of jobs, or one job of any size.
const RESPONSE_MAX_BYTES: usize = 64 << 20;

/// Makes a unary call and returns its response.
pub(crate) async fn unary(
    upstream: &Upstream,
    route: &Route,
    message: &DynamicMessage,
    headers: &HeaderMap,
) -> Result<DynamicMessage, GatewayError> {
    let mut grpc = client(upstream);
    let response = grpc.unary(request(message, headers), path(route), BytesCodec).await?;
    decode(route.call.output(), response.into_inner())
}

/// Makes a server-streaming call and returns its responses, encoded.
pub(crate) async fn streaming(
    upstream: &Upstream,
    route: &Route,
    message: &DynamicMessage,
    headers: &HeaderMap,
) -> Result<Streaming<Bytes>, GatewayError> {
    let mut grpc = client(upstream);
    let request = request(message, headers);
    let response = grpc.server_streaming(request, path(route), BytesCodec).await;
    Ok(response.map(Response::into_inner)?)
}

pub(crate) fn decode(
    output: MessageDescriptor,
    response: Bytes,
) -> Result<DynamicMessage, GatewayError> {
    DynamicMessage::decode(output, response).map_err(|error| {
        GatewayError::unreadable_response(format!(
            "the gateway cannot decode the response of the server: {error}"
        ))
    })
}

fn client(upstream: &Upstream) -> Grpc<Upstream> {
    Grpc::new(upstream.clone()).max_decoding_message_size(RESPONSE_MAX_BYTES)
}

fn request(message: &DynamicMessage, headers: &HeaderMap) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(message.encode_to_vec()));
    let mut forwarded = HeaderMap::new();
    for name in FORWARDED {
        for value in headers.get_all(&name) {
            forwarded.append(name.clone(), value.clone());
        }
    }
    *request.metadata_mut() = MetadataMap::from_headers(forwarded);
    request
}

fn path(route: &Route) -> PathAndQuery {
    PathAndQuery::try_from(route.path.as_str()).expect("service and method names are valid paths")
}

/// A codec for messages that are already encoded.
#[derive(Clone, Copy)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        *self
    }

    fn decoder(&mut self) -> Self::Decoder {
        *self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
