//! `cargo xtask lint`: the steps of the test run that need no built binary.

use std::process::ExitCode;

use anyhow::Result;

use crate::test;

pub(crate) fn run() -> Result<ExitCode> {
    let only = ["fmt", "clippy", "tidy", "codegen"].map(str::to_owned).to_vec();
    test::run(&test::Args { only, ..test::Args::default() })
}
