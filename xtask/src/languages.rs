//! Builds the SDKs of other languages: the Node package in its folder, the Python wheel in a
//! virtual environment under target/. Both come from lock files with exact versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

const NODE: &str = "client-sdk/node";
const PYTHON: &str = "client-sdk/python";

/// `npm <args>` in the folder of the package.
pub(crate) fn npm(root: &Path, args: &[&str]) -> Command {
    let mut npm = shell::command("npm");
    npm.args(args).current_dir(root.join(NODE));
    npm
}

/// The Python that has the wheel.
pub(crate) fn python(root: &Path) -> Command {
    let mut python = shell::command(environment(root).join("bin/python"));
    python.current_dir(root.join(PYTHON));
    python
}

/// Installs what the package is built with, unless it was installed from this very lock file.
pub(crate) fn ensure_node_modules(root: &Path) -> Result<()> {
    let stamp = root.join(NODE).join("node_modules/.built-from");
    let lock = std::fs::read_to_string(root.join(NODE).join("package-lock.json"))?;
    let wanted = shell::output(shell::command("node").arg("--version"))? + &lock;
    ensure(&stamp, &wanted, || {
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        shell::output(&mut npm(root, &install)).context("install the npm packages")?;
        Ok(())
    })
}

/// As [`ensure_node_modules`], of the virtual environment.
pub(crate) fn ensure_environment(root: &Path) -> Result<()> {
    let requirements = root.join(PYTHON).join("requirements.txt");
    let pins = std::fs::read_to_string(&requirements)?;
    let wanted = shell::output(shell::command("python3").arg("--version"))? + &pins;
    ensure(&environment(root).join("built-from"), &wanted, || {
        let folder = environment(root);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context("remove the stale target/python/venv")?;
        }
        shell::output(shell::command("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = pip(root, "install");
        shell::output(pip.arg("--requirement").arg(&requirements)).context("install with pip")?;
        Ok(())
    })
}

/// Builds the wheel and installs it.
pub(crate) fn install_wheel(root: &Path) -> Result<()> {
    let wheels = root.join("target/python/wheels");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels).context("remove the wheels of before")?;
    }
    // Setuptools adds to what it built before, also modules that are gone.
    let built = root.join(PYTHON).join("build");
    if built.exists() {
        std::fs::remove_dir_all(&built).context("remove client-sdk/python/build")?;
    }
    let offline = ["--no-build-isolation", "--no-deps", "--no-index"];
    shell::output(pip(root, "wheel").args(offline).arg("--wheel-dir").arg(&wheels).arg("."))?;
    let mut install = pip(root, "install");
    install.args(["--no-deps", "--no-index", "--force-reinstall", "--find-links"]);
    shell::output(install.arg(&wheels).arg("sentinel-client"))?;
    Ok(())
}

/// Builds both where that was not done yet. What is there is left as it is: the steps `node` and
/// `python` bring it up to date.
pub(crate) fn ensure_built(root: &Path) -> Result<()> {
    if !root.join(NODE).join("dist/test/conformance-worker.js").exists() {
        ensure_node_modules(root)?;
        shell::output(&mut npm(root, &["run", "--silent", "build"]))?;
    }
    if !environment(root).join("bin/python").exists() {
        ensure_environment(root)?;
        install_wheel(root)?;
    }
    Ok(())
}

fn environment(root: &Path) -> PathBuf {
    root.join("target/python/venv")
}

fn pip(root: &Path, verb: &str) -> Command {
    let mut pip = python(root);
    pip.args(["-m", "pip", verb, "--disable-pip-version-check", "--no-input", "--quiet"]);
    pip
}

/// The stamp is written last and holds what it was built from, so a broken-off install is done
/// again.
fn ensure(stamp: &Path, wanted: &str, build: impl FnOnce() -> Result<()>) -> Result<()> {
    if std::fs::read_to_string(stamp).is_ok_and(|built| built == wanted) {
        return Ok(());
    }
    build()?;
    std::fs::write(stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}
