//! The gRPC reflection services, in the two versions that clients use.

use anyhow::Result;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tonic_reflection::server::{Builder, v1alpha};

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(sentinel_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // A client that has only reflection needs these types to decode error details.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

pub(super) fn v1() -> Result<ServerReflectionServer<impl ServerReflection>> {
    Ok(builder().build_v1()?)
}

pub(super) fn v1alpha() -> Result<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>> {
    Ok(builder().build_v1alpha()?)
}
