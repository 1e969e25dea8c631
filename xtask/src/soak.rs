//! `cargo xtask soak`: runs the soak tests, which take minutes to hours, and writes a result file
//! with the machine and the commit.

mod browser;
mod other;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::test::Count;
use crate::{repo, shell, tools, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Duration of each test in minutes (SENTINEL_SOAK_MINUTES).
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Seed of the tests (SENTINEL_TEST_SEED); the process id when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// The other commit in the test of mixed versions: the last tag
    /// when absent, or ten commits ago where there is none.
    #[arg(long, value_name = "REV")]
    other: Option<String>,
    /// Runs only the tests whose name contains NAME.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let root = repo::root();
    tools::ensure(&root)?;
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()));
    let date = said("date", &["-u", "+%Y-%m-%dT%H-%M-%SZ"]);
    shell::run(&mut shell::cargo(&workspace::BUILD))?;
    // Compiled ahead, so that the duration in the result is that of the tests.
    shell::run(&mut shell::cargo(&["test", "--workspace", "--no-run"]))?;
    let mixes = args.only.as_deref().is_none_or(|only| other::TEST.contains(only));
    let other = mixes.then(|| other::build(&root, args.other.as_deref())).transpose()?;
    // Read before the run, which may take hours: the checkout may change meanwhile.
    let versions = versions(other.as_ref().map(|other| other.commit.as_str()));
    println!("soak: {} minutes a test, seed {seed}", args.minutes);

    let mut runner = runner(args.only.as_deref());
    if let Some(other) = &other {
        runner.env("SENTINEL_TEST_OTHER", &other.programs);
    }
    runner.env("SENTINEL_SOAK_MINUTES", args.minutes.to_string());
    runner.env("SENTINEL_TEST_SEED", seed.to_string()).envs(tools::variables(&root));
    let started = Instant::now();
    let (mut output, mut success) = tee(&mut runner)?;
    if browser::is_wanted(args.only.as_deref()) {
        let (said, passed) = tee(&mut browser::runner(&root, args.minutes)?)?;
        output.push_str(&said);
        success &= passed;
    }
    let count = Count::parse(&output, success);
    if count.passed + count.failed == 0 {
        bail!("no ignored test matches; their names contain soak");
    }

    let report = json!({
        "date": date,
        "minutes_per_test": args.minutes,
        "seed": seed,
        "only": args.only,
        "duration_s": started.elapsed().as_secs(),
        "done": Report::parse(&output).to_json(),
        "passed": count.passed,
        "failed": count.failed,
        "result": if count.failed == 0 { "passed" } else { "failed" },
        "versions": versions,
        "machine": machine(),
    });
    let path = write(&root, &date, &report)?;
    println!("wrote {path}\n{}", count.closing_line());
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runner(only: Option<&str>) -> Command {
    if shell::succeeds(&mut shell::cargo(&["nextest", "--version"])) {
        let mut command = shell::cargo(&["nextest", "run", "--workspace", "--profile", "soak"]);
        command.args(["--run-ignored", "only", "--no-fail-fast", "--no-tests=pass"]);
        // Each soak test prints a line as it finishes.
        command.args(["-E", "test(soak)", "--no-capture"]).args(only);
        return command;
    }
    let mut command = shell::cargo(&["test", "--workspace", "--lib", "--bins", "--tests"]);
    command.args(["--no-fail-fast", only.unwrap_or("soak")]);
    command.args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

/// Runs a command with visible output and returns the output.
fn tee(command: &mut Command) -> Result<(String, bool)> {
    use std::io::{BufRead, BufReader, pipe};
    let (reader, writer) = pipe()?;
    command.stdin(std::process::Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("start the soak tests")?;
    // The command holds this process's ends of the pipe; reading ends when all are closed.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut output = String::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        output.push_str(&line);
        output.push('\n');
    }
    Ok((output, child.wait()?.success()))
}

/// What the soak tests report, each in a line `soak {..}`.
#[derive(Debug, Default)]
struct Report {
    runs: BTreeMap<String, u64>,
    faults: BTreeMap<String, u64>,
    checked: BTreeMap<String, u64>,
    worst_recovery_ms: u64,
}

impl Report {
    fn parse(output: &str) -> Self {
        let mut report = Self::default();
        // libtest prints the name of the test before the first line.
        for line in output.lines().filter_map(|line| line.split_once("soak {")) {
            let Ok(run) = serde_json::from_str::<Value>(&format!("{{{}", line.1)) else {
                continue;
            };
            let name = run["test"].as_str().unwrap_or("unnamed");
            *report.runs.entry(name.to_owned()).or_default() += 1;
            add(&mut report.faults, &run["faults"]);
            add(&mut report.checked, &run["checked"]);
            let recovered_after_ms = run["recovered_after_ms"].as_u64().unwrap_or_default();
            report.worst_recovery_ms = report.worst_recovery_ms.max(recovered_after_ms);
        }
        report
    }

    fn to_json(&self) -> Value {
        json!({
            "runs": self.runs,
            "faults": self.faults,
            "checked": self.checked,
            "worst_recovery_ms": self.worst_recovery_ms,
        })
    }
}

/// Adds the numbers of a JSON object to the sums of the same names.
fn add(sums: &mut BTreeMap<String, u64>, numbers: &Value) {
    for (name, number) in numbers.as_object().into_iter().flatten() {
        *sums.entry(name.clone()).or_default() += number.as_u64().unwrap_or_default();
    }
}

fn versions(other: Option<&str>) -> Value {
    json!({
        "sentinel": env!("CARGO_PKG_VERSION"),
        "commit": said("git", &["describe", "--always", "--dirty"]),
        "other_commit": other,
        "rustc": said("rustc", &["--version"]),
    })
}

fn machine() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": field(&cpu, "model name"),
        "memory": field(&memory, "MemTotal"),
        "kernel": said("uname", &["-sr"]),
    })
}

/// The value of the first `name : value` line of a /proc file.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':'))
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}

/// The output of a program, or `unknown`: a missing program must not lose the result of a soak.
fn said(program: &str, args: &[&str]) -> String {
    let output = shell::output(shell::command(program).args(args));
    output.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn write(root: &Path, date: &str, report: &Value) -> Result<String> {
    let path = format!("bench/results/soak-{date}.json");
    std::fs::create_dir_all(root.join("bench/results")).context("create bench/results")?;
    let text = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(root.join(&path), text).with_context(|| format!("write {path}"))?;
    Ok(path)
}

#[cfg(test)]
mod tests;
