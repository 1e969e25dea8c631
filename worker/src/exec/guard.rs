//! The process between a worker and a program. It starts the program as a process group in a
//! fresh folder, passes signals on, and when the program ends, the worker says so or the worker
//! dies, it kills the group and every descendant that left it, and removes the folder.
//!
//! A process of its own, because only a parent hears of orphans: it is their subreaper. The worker
//! may die by SIGKILL; then its end of the socket closes, and the guard goes on to kill. Should the
//! guard die so, the program gets SIGKILL from the kernel. Signals of a terminal do not reach it:
//! it is in a process group of its own. No async here: one process, two threads, blocking calls.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, getppid, kill_process,
    kill_process_group, set_child_subreaper, set_parent_process_death_signal, wait, waitid,
};

use super::link::{End, GUARD_ARG, MAX_LINE_BYTES, Order, PROGRAM_ARG, TERMINATE};

/// What shells say of a program that can not be executed.
const EXIT_CANNOT_EXECUTE: u8 = 126;

/// The number of the program, while it belongs to it.
type Program = Arc<Mutex<Option<Pid>>>;

/// To be called first in `main`: when the arguments say so, this process is a guard or is to
/// become a program, and `main` must return the code.
pub fn enter() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    match args.next()?.to_str()? {
        GUARD_ARG => Some(guard()),
        PROGRAM_ARG => Some(become_program(args)),
        _ => None,
    }
}

fn guard() -> ExitCode {
    let Ok(stdin) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let mut worker = UnixStream::from(stdin);
    let end = watch_over(&worker).unwrap_or_else(|error| End::Failed(error.to_string()));
    // Neither fails: an end is text. The worker may be gone.
    let line = serde_json::to_vec(&end).unwrap_or_default();
    let _ = worker.write_all(&line).and_then(|()| worker.write_all(b"\n"));
    ExitCode::SUCCESS
}

fn watch_over(worker: &UnixStream) -> io::Result<End> {
    set_child_subreaper(Some(getpid()))?;
    let mut said = BufReader::new(worker.try_clone()?);
    let order = read_order(&mut said)?;
    let stdin = read_stdin(&mut said, order.stdin_bytes)?;
    let folder = tempfile::Builder::new().prefix("sentinel-exec-").tempdir()?;
    let child = start(order, stdin, folder.path())?;
    let program = Program::new(Mutex::new(Some(Pid::from_child(&child))));
    let commanded = program.clone();
    std::thread::Builder::new()
        .name("commands".to_owned())
        .spawn(move || obey(said, &commanded))?;
    let status = sweep(child, &program)?;
    folder.close()?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    })
}

fn read_order(said: &mut impl BufRead) -> io::Result<Order> {
    let mut line = Vec::new();
    said.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

/// In a file, so that nobody has to feed a pipe.
fn read_stdin(said: &mut impl Read, bytes: u64) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    if io::copy(&mut said.take(bytes), &mut file)? < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.rewind()?;
    Ok(file)
}

fn start(order: Order, stdin: File, folder: &std::path::Path) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg(PROGRAM_ARG)
        .arg(getpid().as_raw_nonzero().to_string())
        .arg(order.program)
        .args(order.args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .envs(order.env)
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::from(stdin))
        .spawn()
}

/// Runs until the worker is gone or lets go. The kill makes the other thread sweep and end.
fn obey(mut said: impl Read, program: &Program) {
    let mut byte = [0];
    loop {
        match said.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(1) if byte[0] == TERMINATE => signal_group(program, Signal::TERM),
            Ok(1) => {}
            Ok(_) | Err(_) => break,
        }
    }
    signal_group(program, Signal::KILL);
}

fn signal_group(program: &Program, signal: Signal) {
    let Some(pid) = *program.lock().unwrap_or_else(PoisonError::into_inner) else { return };
    // An empty group is what is wanted.
    let _ = kill_process_group(pid, signal);
    if signal == Signal::KILL {
        // The leader may have moved to another group.
        let _ = kill_process(pid, signal);
    }
}

/// Waits for the program's end, then ends whatever it left behind.
fn sweep(mut child: Child, program: &Program) -> io::Result<ExitStatus> {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(Errno::INTR) = waitid(WaitId::Pid(Pid::from_child(&child)), ended) {}
    // Not reaped yet: as a zombie it keeps its number from going to a stranger.
    signal_group(program, Signal::KILL);
    program.lock().unwrap_or_else(PoisonError::into_inner).take();
    let status = child.wait()?;
    // Descendants that left the group are this process' children as soon as their parents end.
    loop {
        for pid in children() {
            let _ = kill_process(pid, Signal::KILL);
        }
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return Ok(status),
        }
    }
}

/// Processes whose parent is this one.
fn children() -> Vec<Pid> {
    let me = getpid().as_raw_nonzero().to_string();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |number: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // After the name, which may hold anything: state, parent.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        fields.split_whitespace().nth(1) == Some(&me)
    };
    numbers.filter(is_child).filter_map(Pid::from_raw).collect()
}

/// The last step before the program: asks the kernel to end it with the guard.
fn become_program(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let guard = args.next().and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let Some(program) = args.next() else { return ExitCode::FAILURE };
    let tied = set_parent_process_death_signal(Some(Signal::KILL));
    if tied.is_err() || getppid() != guard {
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(args).exec();
    eprintln!("can not execute {}: {error}", program.display());
    ExitCode::from(EXIT_CANNOT_EXECUTE)
}
