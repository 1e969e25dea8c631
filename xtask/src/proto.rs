//! The two .proto modules and what buf says of them. The public contract may not break a
//! client's source; the stored record may not break the bytes in an older file.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{shell, tools};

/// A folder of .proto files with the image that a release froze.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) folder: &'static str,
    pub(crate) baseline: &'static str,
    pub(crate) config: &'static str,
}

pub(crate) const MODULES: [Module; 2] = [
    Module { folder: "proto", baseline: "proto/baseline.binpb", config: "proto/buf.yaml" },
    Module {
        folder: "server/broker/proto",
        baseline: "proto/baseline-store.binpb",
        config: "proto/buf.store.yaml",
    },
];

/// `buf <verb>` on a module. It runs inside of the folder, since buf reads the paths of its
/// rules from there.
pub(crate) fn buf(root: &Path, verb: &str, module: &Module) -> Command {
    let mut command = shell::command(tools::program(root, "buf"));
    command.current_dir(root.join(module.folder));
    command.arg(verb).arg("--config").arg(root.join(module.config));
    command
}

/// Freezes the current contract as the one that later changes are compared with.
pub(crate) fn write_baselines(root: &Path) -> Result<()> {
    tools::ensure(root)?;
    for module in &MODULES {
        let mut build = buf(root, "build", module);
        shell::run(
            build
                .args(["--as-file-descriptor-set", "--exclude-source-info", "-o"])
                .arg(root.join(module.baseline)),
        )?;
        println!("wrote {}", module.baseline);
    }
    Ok(())
}
