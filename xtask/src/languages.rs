//! Builds the SDKs of other languages: the Node package in its folder, the Python wheel in a virtual
//! environment under target/. Both use lock files with exact versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::npm::{SDK, WEB_TESTS, ensure};
use crate::shell;

const PYTHON: &str = "client-sdk/python";

/// The Python of the environment that has the wheel.
pub(crate) fn python(root: &Path) -> Command {
    let mut python = shell::command(environment(root).join("bin/python"));
    python.current_dir(root.join(PYTHON));
    python
}

/// Creates the virtual environment, unless it was created from the same requirements.
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
        std::fs::remove_dir_all(&wheels).context("remove old wheels")?;
    }
    // Setuptools keeps modules of earlier builds, also deleted ones.
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

/// Builds both SDKs where they are missing, and installs the dependencies of the browser tests. The
/// steps `node` and `python` rebuild them after a change.
pub(crate) fn ensure_built(root: &Path) -> Result<()> {
    if !root.join(SDK.0).join("dist/test/conformance-worker.js").exists() {
        SDK.ensure_modules(root)?;
        shell::output(&mut SDK.npm(root, &["run", "--silent", "build"]))?;
    }
    if !environment(root).join("bin/python").exists() {
        ensure_environment(root)?;
        install_wheel(root)?;
    }
    WEB_TESTS.ensure_modules(root)
}

fn environment(root: &Path) -> PathBuf {
    root.join("target/python/venv")
}

fn pip(root: &Path, verb: &str) -> Command {
    let mut pip = python(root);
    pip.args(["-m", "pip", verb, "--disable-pip-version-check", "--no-input", "--quiet"]);
    pip
}
