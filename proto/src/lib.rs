//! The wire contract as Rust types: messages, clients, servers and the descriptors for
//! reflection. The `.proto` files beside this crate are the source and the documentation;
//! `cargo xtask codegen` writes `src/gen`.

#![allow(
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes,
    clippy::too_many_lines,
    missing_docs
)]

pub mod bounds;
pub mod codec;

pub mod jobs {
    pub mod v1 {
        include!("gen/sentinel.jobs.v1.rs");
    }
}

pub mod admin {
    pub mod v1 {
        include!("gen/sentinel.admin.v1.rs");
    }
}

pub mod workers {
    pub mod v1 {
        include!("gen/sentinel.workers.v1.rs");
    }
}

/// The descriptors of every service, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptors.bin");
