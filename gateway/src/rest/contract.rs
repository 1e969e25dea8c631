//! The contract as the gateway knows it: descriptors, with their HTTP rules and comments.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, FieldDescriptor};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(sentinel_proto::FILE_DESCRIPTOR_SET)
        .expect("the descriptors are built with the types")
});

/// Bytes that are a caller's JSON: they are shown and taken as what they are.
const JSON_FIELDS: [&str; 3] = [
    "sentinel.jobs.v1.JobSpec.payload",
    "sentinel.jobs.v1.Job.checkpoint",
    "sentinel.jobs.v1.Job.result",
];

pub(crate) fn pool() -> &'static DescriptorPool {
    &POOL
}

/// Whether the bytes of a field are mostly JSON of a caller.
pub(crate) fn holds_json(field: &FieldDescriptor) -> bool {
    JSON_FIELDS.contains(&field.full_name())
}

/// A message that proto JSON writes in a form of its own, such as a timestamp.
pub(crate) fn is_well_known(message: &prost_reflect::MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_fields_that_hold_json_are_there_and_are_bytes() {
        for name in super::JSON_FIELDS {
            let (message, field) = name.rsplit_once('.').unwrap();
            let message = super::pool().get_message_by_name(message).unwrap();
            let field = message.get_field_by_name(field).unwrap();
            assert_eq!(field.kind(), prost_reflect::Kind::Bytes, "{name}");
        }
    }
}
