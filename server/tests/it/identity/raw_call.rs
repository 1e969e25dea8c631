//! Calls any method by its path, with one message as bytes and any credential.

use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost_types::FileDescriptorSet;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::harness::{TIMEOUT, TestServer};

/// Returns the paths of all methods of the server.
pub(super) fn paths() -> Vec<String> {
    let sets = [
        sentinel_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut paths = Vec::new();
    for set in sets {
        let set = FileDescriptorSet::decode(set).expect("descriptors");
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let (package, service) = (file.package(), service.name());
                    paths.push(format!("/{package}.{service}/{}", method.name()));
                }
            }
        }
    }
    assert!(paths.len() > 15, "{paths:?}");
    paths
}

pub(super) async fn connect(server: &TestServer) -> Channel {
    let endpoint = Endpoint::from_shared(server.url()).expect("a valid address");
    endpoint.connect().await.expect("connect")
}

/// Sends one message and returns the first response message.
pub(super) async fn call(
    channel: &Channel,
    path: &str,
    message: Vec<u8>,
    authorization: Option<&str>,
) -> Result<Vec<u8>, Status> {
    let mut request = Request::new(tokio_stream::once(message));
    request.set_timeout(TIMEOUT);
    if let Some(text) = authorization {
        request.metadata_mut().insert("authorization", text.parse().expect("a header"));
    }
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let path = path.parse().expect("a path");
    let mut responses = grpc.streaming(request, path, BytesCodec).await?.into_inner();
    Ok(responses.message().await?.unwrap_or_default())
}

/// Returns the code of a result, and the reason of an error.
pub(super) fn code_and_reason<T>(result: &Result<T, Status>) -> (Code, String) {
    match result {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => {
            let reason = status.get_details_error_info().map(|info| info.reason);
            (status.code(), reason.unwrap_or_default())
        }
    }
}

/// A codec that passes messages as bytes.
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = BytesCodec;
    type Decoder = BytesCodec;

    fn encoder(&mut self) -> BytesCodec {
        BytesCodec
    }

    fn decoder(&mut self) -> BytesCodec {
        BytesCodec
    }
}

impl Encoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}
