//! Turns the .proto files into Rust, without protoc. Run by `cargo xtask codegen`; the
//! result is committed so that a build needs no generator and a reader sees the types.
//!
//! One optional argument: the folder to write under instead of the checkout, which is how
//! `cargo xtask codegen --check` looks for stale output without touching it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use protox::Compiler;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let out = std::env::args_os().nth(1).map_or_else(|| root.clone(), PathBuf::from);
    public(&root, &folder(&out, "proto/src/gen")?)?;
    store(&root.join("server/store/proto"), &folder(&out, "server/store/src/gen")?)
}

/// The wire contract, with clients, servers and the descriptors for reflection and the gateway.
fn public(root: &Path, out: &Path) -> Result<()> {
    let include = root.join("proto");
    // `cargo xtask codegen` puts the files of google/api there.
    let mut compiler = Compiler::new([include.clone(), root.join("target/tools/googleapis")])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(sources(&include)?).context("compile proto/")?;
    // Encoded by the compiler: its types keep options that are extensions, such as
    // google.api.http; those of prost drop them.
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let mut descriptors = compiler.file_descriptor_set();
    descriptors.file.retain(|file| file.package() != "google.api");
    let mut config = prost_build::Config::new();
    // The codec finds the bounds of a message by its name.
    config.enable_type_names();
    tonic_prost_build::configure()
        .out_dir(out)
        .bytes(".")
        .btree_map(".")
        .codec_path("crate::codec::BoundedCodec")
        .compile_fds_with_config(descriptors, config)
        .context("generate proto/src/gen")
}

/// The stored record, messages only.
fn store(include: &Path, out: &Path) -> Result<()> {
    let descriptors =
        protox::compile(sources(include)?, [include]).context("compile server/store/proto")?;
    prost_build::Config::new()
        .out_dir(out)
        .bytes(["."])
        .compile_fds(descriptors)
        .context("generate server/store/src/gen")
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
