//! The programs that the machine must have before anything is built. All missing ones are reported
//! at once, instead of one failure each in the middle of a build.

use anyhow::{Result, bail};

use super::Count;
use super::step::{Context, Outcome, Step};
use crate::shell;

/// A program that the project needs, a command that succeeds when it is there, and its package.
struct Need {
    probe: &'static [&'static str],
    source: Source,
    why: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Apt(&'static str),
    Rustup(&'static str),
}

const NEEDS: &[Need] = &[
    Need { probe: &["cc", "--version"], source: Source::Apt("gcc"), why: "compiles SQLite" },
    Need {
        probe: &["sh", "-c", "echo '#include <stdio.h>' | cc -E - "],
        source: Source::Apt("libc6-dev"),
        why: "compiles SQLite",
    },
    Need { probe: &["git", "--version"], source: Source::Apt("git"), why: "stamps results" },
    Need {
        probe: &["python3", "-c", "import venv, ensurepip"],
        source: Source::Apt("python3-venv"),
        why: "holds buf, grpcurl, grpcio and the Python SDK, which drive the server from outside",
    },
    Need {
        probe: &[
            "node",
            "--eval",
            "process.exit(process.versions.node.split('.')[0] < 20 ? 1 : 0)",
        ],
        source: Source::Apt("nodejs"),
        why: "runs the Node SDK, builds the panel (20 or later)",
    },
    Need {
        probe: &["npm", "--version"],
        source: Source::Apt("npm"),
        why: "builds the Node SDK and the panel",
    },
    Need {
        probe: &["chromium", "--version"],
        source: Source::Apt("chromium"),
        why: "the panel is tested in it",
    },
    Need {
        probe: &["redis-server", "--version"],
        source: Source::Apt("redis-server"),
        why: "tests start their own servers on free ports",
    },
    Need {
        // Not by name: it is not on the path of every user.
        probe: &["/usr/sbin/mariadbd", "--version"],
        source: Source::Apt("mariadb-server"),
        why: "tests start their own servers on free ports",
    },
    Need {
        probe: &["cargo", "fmt", "--version"],
        source: Source::Rustup("rustfmt"),
        why: "checks the format",
    },
    Need {
        probe: &["cargo", "clippy", "--version"],
        source: Source::Rustup("clippy"),
        why: "lints",
    },
];

pub(super) fn run(_: &Context, _: &Step) -> Outcome {
    let missing = missing(NEEDS);
    if missing.is_empty() {
        return Ok(Count::success());
    }
    for need in &missing {
        println!("\nmissing: {} ({})", name(need.source), need.why);
    }
    let commands = installs(&missing);
    let root = shell::output(shell::command("id").arg("-u"))?.trim() == "0";
    for install in &commands {
        if !root && install[0] == "apt-get" {
            bail!("install what is missing, then run again: sudo {}", install.join(" "));
        }
        println!("$ {}", install.join(" "));
        install_with(install)?;
    }
    if let Some(need) = self::missing(NEEDS).first() {
        let (name, after) = (name(need.source), commands[0].join(" "));
        bail!("{name} ({}) is still missing after `{after}`", need.why);
    }
    Ok(Count::success())
}

fn missing(needs: &'static [Need]) -> Vec<&'static Need> {
    let absent = |need: &&Need| {
        let (program, args) = need.probe.split_first().expect("a probe names a program");
        !shell::succeeds(shell::command(*program).args(args))
    };
    needs.iter().filter(absent).collect()
}

fn name(source: Source) -> &'static str {
    match source {
        Source::Apt(name) | Source::Rustup(name) => name,
    }
}

/// One command per installer.
fn installs(missing: &[&Need]) -> Vec<Vec<&'static str>> {
    let apt = missing.iter().filter(|need| matches!(need.source, Source::Apt(_)));
    let rustup = missing.iter().filter(|need| matches!(need.source, Source::Rustup(_)));
    let mut commands = Vec::new();
    let start = [vec!["apt-get", "install", "-y"], vec!["rustup", "component", "add"]];
    for (mut command, needs) in start.into_iter().zip([apt.collect::<Vec<_>>(), rustup.collect()]) {
        if !needs.is_empty() {
            command.extend(needs.iter().map(|need| name(need.source)));
            commands.push(command);
        }
    }
    commands
}

fn install_with(install: &[&str]) -> Result<()> {
    let mut command = shell::command(install[0]);
    command.args(&install[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    if install[0] == "apt-get" && !shell::status(&mut command)?.success() {
        // A fresh image has no package lists; fetching them costs time, so only then.
        shell::run(shell::command("apt-get").arg("update"))?;
        return shell::run(&mut command);
    }
    if install[0] == "apt-get" { Ok(()) } else { shell::run(&mut command) }
}

#[cfg(test)]
mod tests;
