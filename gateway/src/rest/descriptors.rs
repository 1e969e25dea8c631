//! The descriptors of the API, with their HTTP rules and comments.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(sentinel_proto::FILE_DESCRIPTOR_SET)
        .expect("the code generator writes valid descriptors")
});

/// Fields of type bytes that usually hold JSON of the caller. REST reads and writes it as JSON
/// in place of base64.
const JSON_FIELDS: [&str; 3] = [
    "sentinel.jobs.v1.JobSpec.payload",
    "sentinel.jobs.v1.Job.checkpoint",
    "sentinel.jobs.v1.Job.result",
];

pub(crate) fn pool() -> &'static DescriptorPool {
    &POOL
}

/// Returns whether a field of type bytes usually holds JSON.
pub(crate) fn holds_json(field: &FieldDescriptor) -> bool {
    JSON_FIELDS.contains(&field.full_name())
}

/// Returns whether a message is a well-known type, such as a timestamp. Proto JSON has a special
/// encoding for each of them.
pub(crate) fn is_well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_fields_exist_and_are_bytes() {
        for name in super::JSON_FIELDS {
            let (message, field) = name.rsplit_once('.').unwrap();
            let message = super::pool().get_message_by_name(message).unwrap();
            let field = message.get_field_by_name(field).unwrap();
            assert_eq!(field.kind(), prost_reflect::Kind::Bytes, "{name}");
        }
    }
}
