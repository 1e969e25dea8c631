//! The steps of a test run, cheap ones first. One row each: a new check is a row here.
//!
//! A step that compiles has no time limit: how long that takes says nothing about the code. What
//! tests need is compiled in the step `build`, so the limits of `unit` and `integration` bound
//! the tests alone.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::capture::{Captured, capture};
use super::step::{Context, Outcome, Step, compiles, step};
use super::{Count, preflight, repeat};
use crate::npm::{NESTJS, PANEL, SDK, WEB_TESTS};
use crate::proto::{self, MODULES, Module};
use crate::{compiled, deny, languages, panel, shell, tidy, tools, workspace};

pub(super) const STEPS: &[Step] = &[
    step(
        "preflight",
        "the machine has what the build needs; as root, installs it",
        10,
        preflight::run,
    ),
    step("fmt", "cargo fmt --check", 2, fmt),
    step(
        "tools",
        "buf, grpcurl, grpcio, Envoy, schemathesis and typos, pinned, in target/tools/venv",
        10,
        install_tools,
    ),
    step("typos", "no word is misspelt", 2, typos),
    step("buf-lint", "the .proto files keep the style of their rules", 2, buf_lint),
    step("buf-format", "the .proto files are formatted", 2, buf_format),
    step("buf-breaking", "the contract breaks nothing that the baseline promised", 2, buf_breaking),
    step("tidy", "cargo xtask tidy: dependency rules, import cycles, words, links", 5, run_tidy),
    compiles("tool-deny", "cargo-deny, compiled once per machine and version", install_deny),
    step("deny", "cargo deny: licences, banned crates, sources, advisories", 5, run_deny),
    compiles("clippy", "cargo clippy on all targets, warnings are errors", clippy),
    compiles("codegen", "the committed generated code is what the .proto files give", codegen),
    compiles("build", "the tests, and the programs that they start, compile", build),
    step(
        "node",
        "the Node SDK and the NestJS module: linter, build from lock files, tests, examples",
        10,
        node,
    ),
    step("python", "the Python SDK: ruff, mypy, wheel, unit tests", 10, python),
    step("panel", "the panel: linter, types, unit tests, build and its size", 10, run_panel),
    step("unit", "tests inside the crates", 20, unit),
    step(
        "integration",
        "tests that run servers and workers (tests/it of each crate)",
        30,
        integration,
    ),
    step("browser", "the gateway and the panel, driven by Node, Chromium and Envoy", 10, browser),
    compiles("doctest", "the examples in the documentation run", doctest),
    compiles("rustdoc", "the documentation builds without a broken link", rustdoc),
    compiles("tool-mdbook", "mdbook, compiled once per machine and version", install_mdbook),
    step("book", "the pages of docs/ build as a book with search", 2, book),
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
    let programs = compile(context, step, &mut shell::cargo(&workspace::BUILD))?;
    if programs.failed > 0 {
        return Ok(programs);
    }
    let mut tests =
        if has_nextest() { shell::cargo(&["nextest", "run"]) } else { shell::cargo(&["test"]) };
    compile(context, step, tests.args(["--workspace", "--no-run"]))
}

/// Runs a compiler, without a time limit also within a step that has one.
fn compile(context: &Context, step: &Step, command: &mut Command) -> Outcome {
    let done = capture(command, &log(context, step), None)?;
    Ok(if done.success { Count::success() } else { Count::failure() })
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

fn typos(context: &Context, step: &Step) -> Outcome {
    tools::ensure(&context.root)?;
    check(context, step, &mut shell::command(tools::program(&context.root, "typos")))
}

fn install_deny(_: &Context, _: &Step) -> Outcome {
    compiled::DENY.ensure()?;
    Ok(Count::success())
}

fn install_mdbook(_: &Context, _: &Step) -> Outcome {
    compiled::MDBOOK.ensure()?;
    Ok(Count::success())
}

fn run_deny(context: &Context, step: &Step) -> Outcome {
    let mut count = check(context, step, &mut deny::command(deny::OFFLINE)?)?;
    count += &match deny::advisories_missing() {
        Some(why) => Count::skip(why),
        None => check(context, step, &mut deny::command(deny::ADVISORIES)?)?,
    };
    Ok(count)
}

fn book(context: &Context, step: &Step) -> Outcome {
    let mut command = shell::command(compiled::MDBOOK.ensure()?);
    let output = workspace::target_dir()?.join("book");
    check(context, step, command.args(["build", "docs", "--dest-dir"]).arg(output))
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
    let mut count = Count::default();
    // In this order: the second package is built against the first.
    for package in [SDK, NESTJS] {
        package.ensure_modules(&context.root)?;
        let mut lint = package.npm(&context.root, &["run", "--silent", "lint"]);
        let linted = check(context, step, &mut lint)?;
        if linted.failed > 0 {
            return Ok(linted);
        }
        let build = package.npm(&context.root, &["run", "--silent", "build"]);
        count += &chain(context, step, build, package.npm(&context.root, &["--silent", "test"]))?;
    }
    Ok(count)
}

fn python(context: &Context, step: &Step) -> Outcome {
    languages::ensure_environment(&context.root)?;
    languages::install_wheel(&context.root)?;
    for linter in [["ruff", "check"].as_slice(), &["mypy", "src", "tests", "examples"]] {
        let mut command = languages::python(&context.root);
        let linted = check(context, step, command.arg("-m").args(linter))?;
        if linted.failed > 0 {
            return Ok(linted);
        }
    }
    let mut tests = languages::python(&context.root);
    tests.args(["-m", "unittest", "discover", "--start-directory", "tests"]);
    counted(context, step, &mut tests)
}

fn run_panel(context: &Context, step: &Step) -> Outcome {
    PANEL.ensure_modules(&context.root)?;
    panel::ensure_built(&context.root)?;
    let mut count =
        check(context, step, &mut PANEL.npm(&context.root, &["run", "--silent", "lint"]))?;
    if count.failed > 0 {
        return Ok(count);
    }
    let types = PANEL.npm(&context.root, &["run", "--silent", "check"]);
    count += &chain(context, step, types, PANEL.npm(&context.root, &["--silent", "test"]))?;
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
    let programs = workspace::target_dir()?.join("debug");
    let mut tests = WEB_TESTS.npm(&context.root, &["--silent", "test"]);
    let done = run_tests(context, step, tests.env("SENTINEL_TEST_PROGRAMS", &programs), "")?;
    let mut count = Count::parse(&done.output, done.success);
    let files = repeat::failed_files(&done.output);
    if files.is_empty() || files.len() > repeat::MAX_FLAKY {
        return Ok(count);
    }
    let mut alone = shell::command("node");
    repeat::node(&mut alone, &files);
    alone.current_dir(context.root.join(WEB_TESTS.0)).env("SENTINEL_TEST_PROGRAMS", programs);
    let repeated = run_tests(context, step, &mut alone, "-repeated")?;
    if repeated.success {
        let output = repeat::end_of(&done.output);
        let flaky = files.into_iter().map(|name| repeat::file(name, &output, &repeated.output));
        count.forgive_all(flaky.collect());
    }
    Ok(count)
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
    // Tests start workers of these languages, also when this step runs without the others.
    languages::ensure_built(&context.root)?;
    // Cargo builds the binaries of the crate under test only; tests of the SDK start others.
    let built = build(context, step)?;
    if built.failed > 0 {
        return Ok(built);
    }
    tests(context, step, &["--test", "*"])
}

fn has_nextest() -> bool {
    shell::succeeds(&mut shell::cargo(&["nextest", "--version"]))
}

/// Runs tests of Rust. nextest stops a hung test and names it, and failures can be repeated
/// alone; a machine without it gets the runner of cargo.
fn tests(context: &Context, step: &Step, targets: &[&str]) -> Outcome {
    if !has_nextest() {
        let mut command = shell::cargo(&["test", "--workspace", "--no-fail-fast"]);
        return counted(context, step, command.args(targets));
    }
    let report = workspace::target_dir()?.join("nextest/default/junit.xml");
    let done = run_tests(context, step, &mut nextest(targets), "")?;
    let mut count = Count::parse(&done.output, done.success);
    let Ok(cases) = repeat::read_report(&report) else { return Ok(count) };
    count.slowest = cases.iter().map(|case| (case.title(), case.seconds)).collect();
    let failed: Vec<_> = cases.iter().filter(|case| case.has_failed()).collect();
    let all_known = failed.len() as u64 == count.failed;
    if let Some(filter) = repeat::filter(&failed).filter(|_| all_known) {
        let mut alone = nextest(targets);
        alone.args(["--test-threads=1", "--no-capture", "-E", &filter]);
        let repeated = run_tests(context, step, &mut alone, "-repeated")?;
        let flaky = repeat::flaky(&failed, &repeat::read_report(&report)?, &repeated.output);
        count.forgive(flaky);
    }
    Ok(count)
}

fn nextest(targets: &[&str]) -> Command {
    let run = ["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass"];
    let mut command = shell::cargo(&run);
    command.args(targets);
    command
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
    let done = run_tests(context, step, command, "")?;
    Ok(Count::parse(&done.output, done.success))
}

/// Runs a test runner with the environment that tests read. `suffix` names its log.
fn run_tests(
    context: &Context,
    step: &Step,
    command: &mut Command,
    suffix: &str,
) -> Result<Captured> {
    command.env("SENTINEL_TEST_SEED", context.seed.to_string());
    command.envs(tools::variables(&context.root));
    capture(command, &context.logs.join(format!("{}{suffix}.log", step.name)), limit(step))
}

fn log(context: &Context, step: &Step) -> std::path::PathBuf {
    context.logs.join(format!("{}.log", step.name))
}

fn limit(step: &Step) -> Option<Duration> {
    step.limit_minutes.map(|minutes| Duration::from_secs(minutes * 60))
}
