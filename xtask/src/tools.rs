//! Programs that checks and tests run (buf, grpcurl, Envoy, typos, a Python with grpcio), installed
//! with pinned versions into a virtual environment under target/.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;

const REQUIREMENTS: &str = "xtask/requirements.txt";

/// Files that the contract imports and that no protobuf compiler includes.
const IMPORTED: [&str; 2] = ["google/api/annotations.proto", "google/api/http.proto"];

fn folder(root: &Path) -> PathBuf {
    root.join("target/tools/venv")
}

/// The path of a program of the environment.
pub(crate) fn program(root: &Path, name: &str) -> PathBuf {
    folder(root).join("bin").join(name)
}

/// The include path of the files that the contract imports.
fn googleapis(root: &Path) -> PathBuf {
    root.join("target/tools/googleapis")
}

/// The environment variables that tell tests where the programs are.
pub(crate) fn variables(root: &Path) -> [(&'static str, PathBuf); 4] {
    [
        ("SENTINEL_TEST_GRPCURL", program(root, "grpcurl")),
        ("SENTINEL_TEST_PYTHON", program(root, "python")),
        ("SENTINEL_TEST_ENVOY", program(root, "envoy")),
        ("SENTINEL_TEST_SCHEMATHESIS", program(root, "schemathesis")),
    ]
}

/// Creates the environment unless its stamp matches the requirements. The stamp is written last, so
/// an interrupted install is repeated.
pub(crate) fn ensure(root: &Path) -> Result<()> {
    let stamp = folder(root).join("built-from");
    let wanted = stamp_of(root)?;
    if std::fs::read_to_string(&stamp).is_ok_and(|built| built == wanted) {
        return Ok(());
    }
    if folder(root).exists() {
        std::fs::remove_dir_all(folder(root)).context("remove the stale target/tools/venv")?;
    }
    shell::output(shell::command("python3").args(["-m", "venv"]).arg(folder(root)))?;
    let install = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"];
    let mut pip = shell::command(program(root, "python"));
    pip.args(install).args(["--retries=5", "--requirement", REQUIREMENTS]);
    shell::output(&mut pip).context("install the test tools (this needs the network once)")?;
    check(root)?;
    copy_imported(root)?;
    std::fs::write(stamp, wanted).context("write the stamp of target/tools/venv")
}

/// Copies the imported files out of their Python package. Only those: protoc compiles every file of
/// a folder that it is given.
fn copy_imported(root: &Path) -> Result<()> {
    let places = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let places = shell::output(shell::command(program(root, "python")).args(["-c", places]))?;
    for name in IMPORTED {
        let copy = googleapis(root).join(name);
        std::fs::create_dir_all(copy.parent().context("a file in a folder")?)?;
        std::fs::copy(Path::new(places.trim()).join(name), &copy)
            .with_context(|| format!("copy {name} to {}", copy.display()))?;
    }
    Ok(())
}

/// The requirements, and the Python they were installed for.
fn stamp_of(root: &Path) -> Result<String> {
    let pins = std::fs::read_to_string(root.join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let python = shell::output(shell::command("python3").arg("--version"))?;
    Ok(format!("{python}{pins}"))
}

/// Checks that each program runs.
fn check(root: &Path) -> Result<()> {
    shell::output(shell::command(program(root, "buf")).arg("--version"))?;
    // grpcurl prints its version on standard error; the exit code is what counts.
    if !shell::succeeds(shell::command(program(root, "grpcurl")).arg("-version")) {
        bail!("{} does not run on this machine", program(root, "grpcurl").display());
    }
    shell::output(shell::command(program(root, "envoy")).arg("--version"))?;
    let import = "import grpc, grpc_tools.protoc";
    shell::output(shell::command(program(root, "python")).args(["-c", import]))?;
    Ok(())
}
