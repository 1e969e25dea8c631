//! The supervisor process between a worker and a program. It starts the program as a process group
//! in a temporary directory and forwards signals. When the program exits, the worker requests a
//! kill or the worker dies, the supervisor kills the group and all descendants that have left the
//! group, and removes the directory.
//!
//! It is a separate process because orphans are only reparented to an ancestor process that is a
//! subreaper. If the worker is killed, its end of the socket closes and the supervisor kills the
//! program. If the supervisor is killed, the kernel sends SIGKILL to the program. The supervisor
//! has its own process group, so that terminal signals do not reach it. It uses two threads and
//! blocking calls, no async runtime.

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

use super::protocol::{
    MAX_LINE_BYTES, PROGRAM_ARG, ProgramResult, SUPERVISOR_ARG, StartRequest, TERMINATE,
};

/// The exit code for a program that cannot be executed, as in shells.
const EXIT_CANNOT_EXECUTE: u8 = 126;

/// The process id of the program until it is reaped.
type ProgramPid = Arc<Mutex<Option<Pid>>>;

/// Must be called first in `main`. If the arguments say that this process is a supervisor or a
/// program to execute, it does so and returns the exit code for `main`.
pub fn enter() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    match args.next()?.to_str()? {
        SUPERVISOR_ARG => Some(supervise()),
        PROGRAM_ARG => Some(execute_program(args)),
        _ => None,
    }
}

fn supervise() -> ExitCode {
    let Ok(stdin) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let mut worker = UnixStream::from(stdin);
    let result = run(&worker).unwrap_or_else(|error| ProgramResult::Failed(error.to_string()));
    // Serialization of text does not fail. The write fails if the worker has died.
    let line = serde_json::to_vec(&result).unwrap_or_default();
    let _ = worker.write_all(&line).and_then(|()| worker.write_all(b"\n"));
    ExitCode::SUCCESS
}

fn run(worker: &UnixStream) -> io::Result<ProgramResult> {
    set_child_subreaper(Some(getpid()))?;
    let mut reader = BufReader::new(worker.try_clone()?);
    let request = read_request(&mut reader)?;
    let stdin = read_stdin(&mut reader, request.stdin_bytes)?;
    let dir = tempfile::Builder::new().prefix("sentinel-exec-").tempdir()?;
    let child = start(request, stdin, dir.path())?;
    let program = ProgramPid::new(Mutex::new(Some(Pid::from_child(&child))));
    let thread_program = program.clone();
    std::thread::Builder::new()
        .name("commands".to_owned())
        .spawn(move || handle_commands(reader, &thread_program))?;
    let status = wait_and_clean_up(child, &program)?;
    dir.close()?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => ProgramResult::Exit(code),
        (None, signal) => ProgramResult::Signal(signal.unwrap_or_default()),
    })
}

fn read_request(reader: &mut impl BufRead) -> io::Result<StartRequest> {
    let mut line = Vec::new();
    reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

/// Copies the standard input to a file, so that the supervisor need not write to a pipe.
fn read_stdin(reader: &mut impl Read, bytes: u64) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    if io::copy(&mut reader.take(bytes), &mut file)? < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.rewind()?;
    Ok(file)
}

fn start(request: StartRequest, stdin: File, dir: &std::path::Path) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg(PROGRAM_ARG)
        .arg(getpid().as_raw_nonzero().to_string())
        .arg(request.program)
        .args(request.args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", dir)
        .env("TMPDIR", dir)
        .envs(request.env)
        .current_dir(dir)
        .process_group(0)
        .stdin(Stdio::from(stdin))
        .spawn()
}

/// Handles commands until the worker closes its side. The final kill lets the main thread clean up.
fn handle_commands(mut reader: impl Read, program: &ProgramPid) {
    let mut byte = [0];
    loop {
        match reader.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(1) if byte[0] == TERMINATE => signal_group(program, Signal::TERM),
            Ok(1) => {}
            Ok(_) | Err(_) => break,
        }
    }
    signal_group(program, Signal::KILL);
}

fn signal_group(program: &ProgramPid, signal: Signal) {
    let Some(pid) = *program.lock().unwrap_or_else(PoisonError::into_inner) else { return };
    // Fails if the group is already empty.
    let _ = kill_process_group(pid, signal);
    if signal == Signal::KILL {
        // The program itself may have moved to another group.
        let _ = kill_process(pid, signal);
    }
}

/// Waits until the program exits, then kills its remaining descendants.
fn wait_and_clean_up(mut child: Child, program: &ProgramPid) -> io::Result<ExitStatus> {
    let exited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(Errno::INTR) = waitid(WaitId::Pid(Pid::from_child(&child)), exited) {}
    // Not reaped yet: the zombie keeps its process id from being reused.
    signal_group(program, Signal::KILL);
    program.lock().unwrap_or_else(PoisonError::into_inner).take();
    let status = child.wait()?;
    // Descendants that have left the group become children of this process when their parents exit.
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

/// Returns the child processes of this process.
fn children() -> Vec<Pid> {
    let me = getpid().as_raw_nonzero().to_string();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name may contain any character; the state and the parent follow it.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        fields.split_whitespace().nth(1) == Some(&me)
    };
    pids.filter(is_child).filter_map(Pid::from_raw).collect()
}

/// Requests SIGKILL at the supervisor's death and executes the program.
fn execute_program(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let supervisor =
        args.next().and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let Some(program) = args.next() else { return ExitCode::FAILURE };
    let result = set_parent_process_death_signal(Some(Signal::KILL));
    if result.is_err() || getppid() != supervisor {
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(args).exec();
    eprintln!("cannot execute {}: {error}", program.display());
    ExitCode::from(EXIT_CANNOT_EXECUTE)
}
