//! Tools that exist only as source. Each is compiled once per machine and version, into a cache
//! outside of the checkout, since that takes minutes.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::shell;

/// A program of crates.io at an exact version.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
    flags: &'static [&'static str],
}

pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", flags: &[] };

/// Without the file watcher and the web server: the book is only built.
pub(crate) const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: "0.5.4",
    flags: &["--no-default-features", "--features=search"],
};

impl Tool {
    /// Compiles the program unless the cache has it, and returns its path.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        let folder = cache()?.join(format!("{}-{}", self.name, self.version));
        let program = folder.join("bin").join(self.name);
        if shell::succeeds(shell::command(&program).arg("--version")) {
            return Ok(program);
        }
        let mut install = shell::cargo(&["install", self.name, "--version", self.version]);
        install.args(["--locked", "--quiet", "--root"]).arg(&folder).args(self.flags);
        // A target directory of the caller would keep a second copy of every dependency.
        install.env_remove("CARGO_TARGET_DIR");
        shell::output(&mut install).with_context(|| format!("compile {}", self.name))?;
        Ok(program)
    }
}

/// `$XDG_CACHE_HOME/sentinel-tools`, by default below `~/.cache`.
fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let base = base.map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cache")));
    Ok(base.context("set XDG_CACHE_HOME: there is no home directory")?.join("sentinel-tools"))
}
