//! Builds the panel into `gateway/panel/dist`. A debug build of the gateway reads the files from
//! there at its start; a release build embeds them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::npm::{self, PANEL};
use crate::{paint, repo, shell};

/// Generated from the contract.
const GENERATED: &str = "src/gen";

/// For `cargo xtask dev`: builds the panel if its sources changed. A machine that cannot build it
/// gets a server without a panel, not an error.
pub(crate) fn ensure_for_dev(root: &Path) {
    if !root.join(PANEL.0).join("package.json").exists() {
        return;
    }
    if let Some(why) = npm::missing() {
        let advice = "install Node 20 or newer with npm to have it";
        eprintln!("{} {why}; {advice}", paint::strong("without the panel:"));
        return;
    }
    if let Err(error) = ensure_built(root) {
        eprintln!("{} {error:#}", paint::bad("the panel was not built:"));
    }
}

/// Builds the panel unless it was built from the same sources.
pub(crate) fn ensure_built(root: &Path) -> Result<()> {
    let stamp = root.join("target/panel/built-from");
    let wanted = sources(root)?;
    if !root.join(PANEL.0).join("dist/index.html").exists() && stamp.exists() {
        std::fs::remove_file(&stamp).context("remove the stamp of a deleted panel")?;
    }
    npm::ensure(&stamp, &wanted, || {
        let started = Instant::now();
        eprintln!("{}", paint::faint("building the panel (a first build installs its packages)"));
        PANEL.ensure_modules(root)?;
        shell::output(&mut PANEL.npm(root, &["run", "--silent", "build"]))?;
        std::fs::create_dir_all(stamp.parent().expect("it is in a folder"))?;
        eprintln!("{}", paint::faint(&format!("built in {} s", started.elapsed().as_secs())));
        Ok(())
    })
}

/// A hash of the sources: the files of the panel and the contract.
fn sources(root: &Path) -> Result<String> {
    let panel = root.join(PANEL.0);
    let mut files: Vec<PathBuf> = Vec::new();
    for file in repo::files(&panel)? {
        let is_source = !file.starts_with(GENERATED) && !file.starts_with("e2e");
        files.extend(is_source.then(|| panel.join(file)));
    }
    let contract = root.join("proto/sentinel");
    files.extend(repo::files(&contract)?.into_iter().map(|file| contract.join(file)));
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(root)?.hash(&mut hasher);
        let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        bytes.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests;
