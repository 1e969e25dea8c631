//! The two .proto modules and their checks by buf. The public contract stays source compatible; the
//! stored record stays readable in older files.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{shell, tools};

/// A folder of .proto files and the image of it that later changes are compared with.
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

/// `buf <verb>` on the files of a module, without imported files. It runs in the root, because the
/// paths in the rules are relative to it.
pub(crate) fn buf(root: &Path, verb: &str, module: &Module) -> Command {
    let mut command = with_config(root, verb, module);
    command.args(["--path", module.folder]);
    command
}

/// `buf breaking` of a module against its baseline. It compares two images: given a folder, buf
/// would require a baseline of the imported files, too.
pub(crate) fn breaking(root: &Path, module: &Module) -> Result<Command> {
    let image = root.join("target/tools/contract.binpb");
    shell::output(buf(root, "build", module).arg("-o").arg(&image))?;
    let mut command = with_config(root, "breaking", module);
    command.arg(image).arg("--against").arg(module.baseline);
    Ok(command)
}

fn with_config(root: &Path, verb: &str, module: &Module) -> Command {
    let mut command = shell::command(tools::program(root, "buf"));
    command.current_dir(root).args([verb, "--config", module.config]);
    command
}

/// Writes the baseline that later changes are compared with.
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
