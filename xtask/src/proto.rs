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
    Module { folder: "proto/sentinel", baseline: "proto/baseline.binpb", config: "proto/buf.yaml" },
    Module {
        folder: "server/store/proto/sentinel",
        baseline: "proto/baseline-store.binpb",
        config: "proto/buf.store.yaml",
    },
];

/// `buf <verb>` on the files of a module, without those that it imports. It runs in the root,
/// since buf reads the paths of its rules from there.
pub(crate) fn buf(root: &Path, verb: &str, module: &Module) -> Command {
    let mut command = bare(root, verb, module);
    command.args(["--path", module.folder]);
    command
}

/// `buf breaking` of a module against its baseline. It compares one image with another: given a
/// folder, buf would ask for a baseline of the imported files, too.
pub(crate) fn breaking(root: &Path, module: &Module) -> Result<Command> {
    let image = root.join("target/tools/contract.binpb");
    shell::output(buf(root, "build", module).arg("-o").arg(&image))?;
    let mut command = bare(root, "breaking", module);
    command.arg(image).arg("--against").arg(module.baseline);
    Ok(command)
}

fn bare(root: &Path, verb: &str, module: &Module) -> Command {
    let mut command = shell::command(tools::program(root, "buf"));
    command.current_dir(root).args([verb, "--config", module.config]);
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
