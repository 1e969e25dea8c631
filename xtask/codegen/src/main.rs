//! Turns the .proto files into Rust, without protoc. Run by `cargo xtask codegen`; the
//! result is committed so that a build needs no generator and a reader sees the types.

use std::path::Path;

use anyhow::{Context, Result};
use prost::Message;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    public(&root)?;
    store(&root)
}

/// The wire contract, with clients, servers and the descriptors for reflection.
fn public(root: &Path) -> Result<()> {
    let include = root.join("proto");
    let out = include.join("src/gen");
    let files = [
        "sentinel/admin/v1/queue_service.proto",
        "sentinel/jobs/v1/job.proto",
        "sentinel/jobs/v1/job_service.proto",
        "sentinel/workers/v1/worker_service.proto",
    ];
    let descriptors = protox::compile(files, [&include]).context("compile proto/")?;
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .out_dir(&out)
        .bytes(".")
        .btree_map(".")
        .compile_fds(descriptors)
        .context("generate proto/src/gen")
}

/// The stored record, messages only.
fn store(root: &Path) -> Result<()> {
    let include = root.join("server/broker/proto");
    let out = root.join("server/broker/src/gen");
    let descriptors = protox::compile(["sentinel/store/v1/store.proto"], [&include])
        .context("compile server/broker/proto")?;
    prost_build::Config::new()
        .out_dir(&out)
        .bytes(["."])
        .compile_fds(descriptors)
        .context("generate server/broker/src/gen")
}
