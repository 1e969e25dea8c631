//! The steps of a test run, cheap ones first. One row each: a new check is a row here.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::bail;

use super::{Context, Count, Outcome, capture::capture, preflight};
use crate::npm::{PANEL, SDK, WEB_TESTS};
use crate::proto::{self, MODULES, Module};
use crate::{languages, panel, repo, shell, tidy, tools};

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) limit_minutes: u64,
    pub(crate) run: fn(&Context, &Step) -> Outcome,
}

const fn step(
    name: &'static str,
    about: &'static str,
    limit_minutes: u64,
    run: fn(&Context, &Step) -> Outcome,
) -> Step {
    Step { name, about, limit_minutes, run }
}

pub(crate) const STEPS: &[Step] = &[
    step(
        "preflight",
        "the machine has what the build needs; as root, installs it",
        10,
        preflight::run,
    ),
    step("fmt", "cargo fmt --check", 2, fmt),
    step(
        "tools",
        "buf, grpcurl, grpcio, Envoy and schemathesis, pinned, in target/tools/venv",
        10,
        install_tools,
    ),
    step("buf-lint", "the .proto files keep the style of their rules", 2, buf_lint),
    step("buf-format", "the .proto files are formatted", 2, buf_format),
    step("buf-breaking", "the contract breaks nothing that the baseline promised", 2, buf_breaking),
    step("tidy", "cargo xtask tidy: arrows, budgets, licences, links", 5, run_tidy),
    step("clippy", "cargo clippy on all targets, warnings are errors", 20, clippy),
    step("codegen", "the committed generated code is what the .proto files give", 10, codegen),
    step("build", "what tests start as processes builds", 20, build),
    step("node", "the Node SDK builds from its lock file, and its own tests", 10, node),
    step("python", "the Python SDK builds as a wheel, and its own tests", 10, python),
    step("panel", "the panel's types, its own tests, its build and the size of it", 10, run_panel),
    step("unit", "tests inside the crates", 20, unit),
    step(
        "integration",
        "tests that run servers and workers (tests/it of each crate)",
        30,
        integration,
    ),
    step("browser", "the gateway and the panel, driven by Node, Chromium and Envoy", 10, browser),
    step("doctest", "the examples in the documentation run", 15, doctest),
    step("rustdoc", "the documentation builds without a broken link", 10, rustdoc),
];

fn fmt(context: &Context, step: &Step) -> Outcome {
    check(context, step, &mut shell::cargo(&["fmt", "--all", "--check"]))
}

fn clippy(context: &Context, step: &Step) -> Outcome {
    let args = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    check(context, step, &mut shell::cargo(&args))
}

fn codegen(context: &Context, step: &Step) -> Outcome {
    let this = std::env::current_exe()?;
    check(context, step, shell::command(this).args(["codegen", "--check"]))
}

fn build(context: &Context, step: &Step) -> Outcome {
    check(context, step, &mut shell::cargo(&repo::BUILD))
}

fn rustdoc(context: &Context, step: &Step) -> Outcome {
    let mut command = shell::cargo(&["doc", "--workspace", "--no-deps"]);
    check(context, step, command.env("RUSTDOCFLAGS", "--deny warnings"))
}

fn run_tidy(context: &Context, _: &Step) -> Outcome {
    let problems = tidy::problems(&context.root)?;
    let failures: Vec<_> = problems.iter().filter(|problem| problem.fails).collect();
    for problem in &failures {
        println!("\n{problem}");
    }
    Ok(if failures.is_empty() { Count::success() } else { Count::failure() })
}

fn install_tools(context: &Context, _: &Step) -> Outcome {
    tools::ensure(&context.root)?;
    Ok(Count::success())
}

fn buf_lint(context: &Context, step: &Step) -> Outcome {
    each_module(context, step, |root, module| Ok(proto::buf(root, "lint", module)))
}

fn buf_format(context: &Context, step: &Step) -> Outcome {
    each_module(context, step, |root, module| {
        let mut format = proto::buf(root, "format", module);
        format.args(["--diff", "--exit-code"]);
        Ok(format)
    })
}

fn buf_breaking(context: &Context, step: &Step) -> Outcome {
    let count = each_module(context, step, proto::breaking)?;
    if count.failed > 0 {
        bail!(
            "the contract breaks its baseline. Before the first release a break may be meant: \
             `cargo xtask codegen --baseline` freezes the new contract"
        );
    }
    Ok(count)
}

/// Runs a command of buf on each module; both are one case.
fn each_module(
    context: &Context,
    step: &Step,
    command: fn(&Path, &Module) -> anyhow::Result<Command>,
) -> Outcome {
    tools::ensure(&context.root)?;
    for module in &MODULES {
        let count = check(context, step, &mut command(&context.root, module)?)?;
        if count.failed > 0 {
            return Ok(count);
        }
    }
    Ok(Count::success())
}

fn node(context: &Context, step: &Step) -> Outcome {
    SDK.ensure_modules(&context.root)?;
    let build = SDK.npm(&context.root, &["run", "--silent", "build"]);
    chain(context, step, build, SDK.npm(&context.root, &["--silent", "test"]))
}

fn python(context: &Context, step: &Step) -> Outcome {
    languages::ensure_environment(&context.root)?;
    languages::install_wheel(&context.root)?;
    let mut tests = languages::python(&context.root);
    tests.args(["-m", "unittest", "discover", "--start-directory", "tests"]);
    counted(context, step, &mut tests)
}

fn run_panel(context: &Context, step: &Step) -> Outcome {
    PANEL.ensure_modules(&context.root)?;
    panel::ensure_built(&context.root)?;
    let types = PANEL.npm(&context.root, &["run", "--silent", "check"]);
    let mut count = chain(context, step, types, PANEL.npm(&context.root, &["--silent", "test"]))?;
    if count.failed == 0 {
        count +=
            &check(context, step, &mut PANEL.npm(&context.root, &["run", "--silent", "size"]))?;
    }
    Ok(count)
}

fn browser(context: &Context, step: &Step) -> Outcome {
    tools::ensure(&context.root)?;
    WEB_TESTS.ensure_modules(&context.root)?;
    panel::ensure_built(&context.root)?;
    let built = build(context, step)?;
    if built.failed > 0 {
        return Ok(built);
    }
    let mut tests = WEB_TESTS.npm(&context.root, &["--silent", "test"]);
    counted(context, step, tests.env("SENTINEL_TEST_PROGRAMS", repo::target_dir()?.join("debug")))
}

/// A build, and the tests of what it built.
fn chain(context: &Context, step: &Step, mut build: Command, mut tests: Command) -> Outcome {
    let built = check(context, step, &mut build)?;
    if built.failed > 0 { Ok(built) } else { counted(context, step, &mut tests) }
}

fn unit(context: &Context, step: &Step) -> Outcome {
    tests(context, step, &["--lib", "--bins"])
}

fn integration(context: &Context, step: &Step) -> Outcome {
    tools::ensure(&context.root)?;
    // Alone it must work, too: tests start workers of these languages.
    languages::ensure_built(&context.root)?;
    if !repo::members()?.to_string().contains("\"kind\":[\"test\"]") {
        return Ok(Count::default()); // cargo refuses `--test *` when there is none
    }
    // Cargo builds the binaries of the crate under test only; tests of the SDK start others.
    let built = build(context, step)?;
    if built.failed > 0 {
        return Ok(built);
    }
    tests(context, step, &["--test", "*"])
}

/// nextest where it is installed, since it ends a hung test and names it; else libtest.
fn tests(context: &Context, step: &Step, targets: &[&str]) -> Outcome {
    let nextest = shell::succeeds(&mut shell::cargo(&["nextest", "--version"]));
    let mut command = if nextest {
        shell::cargo(&["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass"])
    } else {
        shell::cargo(&["test", "--workspace", "--no-fail-fast"])
    };
    counted(context, step, command.args(targets))
}

fn doctest(context: &Context, step: &Step) -> Outcome {
    counted(context, step, &mut shell::cargo(&["test", "--workspace", "--doc", "--no-fail-fast"]))
}

/// A program whose exit code is the one result.
fn check(context: &Context, step: &Step, command: &mut Command) -> Outcome {
    let done = capture(command, &log(context, step), limit(step))?;
    Ok(if done.success { Count::success() } else { Count::failure() })
}

/// A test runner, whose closing lines are counted.
fn counted(context: &Context, step: &Step, command: &mut Command) -> Outcome {
    command.env("SENTINEL_TEST_SEED", context.seed.to_string());
    command.envs(tools::variables(&context.root));
    let done = capture(command, &log(context, step), limit(step))?;
    Ok(Count::parse(&done.output, done.success))
}

fn log(context: &Context, step: &Step) -> std::path::PathBuf {
    context.logs.join(format!("{}.log", step.name))
}

fn limit(step: &Step) -> Duration {
    Duration::from_secs(step.limit_minutes * 60)
}
