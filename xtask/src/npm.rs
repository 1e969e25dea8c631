//! The Node packages of this project. Each is installed from its lock file, without install scripts
//! of dependencies, and again only when that file changed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// The oldest supported Node.
const NODE_MIN: u32 = 20;

/// A folder with a `package.json` and its lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package(pub(crate) &'static str);

pub(crate) const SDK: Package = Package("client-sdk/node");
/// The module for NestJS. Installs the SDK from its folder.
pub(crate) const NESTJS: Package = Package("client-sdk/nestjs");
pub(crate) const PANEL: Package = Package("gateway/panel");
/// The end-to-end tests of the gateway and the panel.
pub(crate) const WEB_TESTS: Package = Package("gateway/tests/web");

impl Package {
    /// `npm <args>` in its folder.
    pub(crate) fn npm(self, root: &Path, args: &[&str]) -> Command {
        let mut npm = shell::command("npm");
        npm.args(args).current_dir(root.join(self.0));
        npm
    }

    /// Installs its dependencies, unless they were installed from the same lock file.
    pub(crate) fn ensure_modules(self, root: &Path) -> Result<()> {
        let stamp = root.join(self.0).join("node_modules/.built-from");
        let lock = std::fs::read_to_string(root.join(self.0).join("package-lock.json"))
            .with_context(|| format!("read the lock of {}", self.0))?;
        let wanted = shell::output(shell::command("node").arg("--version"))? + &lock;
        ensure(&stamp, &wanted, || {
            let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
            let installed = shell::output(&mut self.npm(root, &install));
            installed.with_context(|| format!("install the npm packages of {}", self.0))?;
            Ok(())
        })
    }
}

/// Calls `build` unless the stamp holds `wanted`. The stamp is written last, so an interrupted
/// build is repeated.
pub(crate) fn ensure(stamp: &Path, wanted: &str, build: impl FnOnce() -> Result<()>) -> Result<()> {
    if std::fs::read_to_string(stamp).is_ok_and(|built| built == wanted) {
        return Ok(());
    }
    build()?;
    std::fs::write(stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}

/// Why Node packages cannot be built on this machine, if so.
pub(crate) fn missing() -> Option<String> {
    let Ok(version) = shell::output(shell::command("node").arg("--version")) else {
        return Some("there is no node".to_owned());
    };
    if major(&version).is_none_or(|major| major < NODE_MIN) {
        return Some(format!("node is {}", version.trim()));
    }
    (!shell::succeeds(shell::command("npm").arg("--version"))).then(|| "there is no npm".to_owned())
}

/// `20` of `v20.11.1`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
