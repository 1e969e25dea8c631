//! Turns the .proto files into Rust, without protoc. Run by `cargo xtask codegen`; the
//! result is committed so that a build needs no generator and a reader sees the types.
//!
//! One optional argument: the folder to write under instead of the checkout, which is how
//! `cargo xtask codegen --check` looks for stale output without touching it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use prost::Message;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let out = std::env::args_os().nth(1).map_or_else(|| root.clone(), PathBuf::from);
    public(&root.join("proto"), &folder(&out, "proto/src/gen")?)?;
    store(&root.join("server/broker/proto"), &folder(&out, "server/broker/src/gen")?)
}

/// The wire contract, with clients, servers and the descriptors for reflection.
fn public(include: &Path, out: &Path) -> Result<()> {
    let descriptors = protox::compile(sources(include)?, [include]).context("compile proto/")?;
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .out_dir(out)
        .bytes(".")
        .btree_map(".")
        .codec_path("crate::codec::BoundedCodec")
        .compile_fds(descriptors)
        .context("generate proto/src/gen")
}

/// The stored record, messages only.
fn store(include: &Path, out: &Path) -> Result<()> {
    let descriptors =
        protox::compile(sources(include)?, [include]).context("compile server/broker/proto")?;
    prost_build::Config::new()
        .out_dir(out)
        .bytes(["."])
        .compile_fds(descriptors)
        .context("generate server/broker/src/gen")
}

fn folder(out: &Path, name: &str) -> Result<PathBuf> {
    let path = out.join(name);
    std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    Ok(path)
}

/// Every .proto file below a folder, sorted, so that a new file needs no list to be edited.
fn sources(include: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![include.to_path_buf()];
    while let Some(folder) = left.pop() {
        for entry in folder.read_dir().with_context(|| format!("list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                found.push(path.strip_prefix(include)?.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}
