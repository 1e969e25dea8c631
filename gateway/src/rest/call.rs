//! One call of the server with messages as bytes, whatever their types.

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, header};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::fault::Fault;
use super::routes::Route;
use crate::upstream::Upstream;

/// What of a request's head concerns the server.
const PASSED_ON: [HeaderName; 5] = [
    header::AUTHORIZATION,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-request-id"),
];

/// The largest answer: a full batch of jobs, of which the server sends 12 MiB or one job.
const ANSWER_MAX_BYTES: usize = 64 << 20;

/// Calls without a stream.
pub(crate) async fn unary(
    upstream: &Upstream,
    route: &Route,
    message: &DynamicMessage,
    headers: &HeaderMap,
) -> Result<DynamicMessage, Fault> {
    let mut grpc = client(upstream);
    let answer = grpc.unary(request(message, headers), path(route), Bare).await?;
    decode(route.call.output(), answer.into_inner())
}

/// Calls with a stream of answers.
pub(crate) async fn streaming(
    upstream: &Upstream,
    route: &Route,
    message: &DynamicMessage,
    headers: &HeaderMap,
) -> Result<Streaming<Bytes>, Fault> {
    let mut grpc = client(upstream);
    let answer = grpc.server_streaming(request(message, headers), path(route), Bare).await;
    Ok(answer.map(Response::into_inner)?)
}

pub(crate) fn decode(output: MessageDescriptor, answer: Bytes) -> Result<DynamicMessage, Fault> {
    DynamicMessage::decode(output, answer)
        .map_err(|error| Fault::unreadable(format!("the answer of the server: {error}")))
}

fn client(upstream: &Upstream) -> Grpc<Upstream> {
    Grpc::new(upstream.clone()).max_decoding_message_size(ANSWER_MAX_BYTES)
}

fn request(message: &DynamicMessage, headers: &HeaderMap) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(message.encode_to_vec()));
    let mut passed = HeaderMap::new();
    for name in PASSED_ON {
        for value in headers.get_all(&name) {
            passed.append(name.clone(), value.clone());
        }
    }
    *request.metadata_mut() = MetadataMap::from_headers(passed);
    request
}

fn path(route: &Route) -> PathAndQuery {
    PathAndQuery::try_from(route.path.as_str()).expect("names of the contract")
}

/// Messages as bytes.
#[derive(Clone, Copy)]
struct Bare;

impl Codec for Bare {
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

impl Encoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
