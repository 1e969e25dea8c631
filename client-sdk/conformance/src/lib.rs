//! Conformance tests of worker runtimes, in any language. Each scenario runs a worker program
//! against a scripted server that sends valid, late, repeated and invalid frames. A violation of
//! the session protocol panics with the expected behaviour.
//!
//! The worker program accepts `--endpoint URL` (repeatable), `--concurrency N` (default 8),
//! `--drain-timeout-ms N` (default 30,000), `--instance NAME` (default `conformance`) and
//! `--credential KEY`. It serves the queue `default` as build `1.2.3` with the label `zone=a`,
//! drains on SIGTERM and exits with 0, or exits with another code when its first Hello is rejected.
//! Its handlers take JSON payloads:
//!
//! | kind | behaviour |
//! |---|---|
//! | `echo` | returns its payload |
//! | `fail` | fails with `message`, `code`, `retryable`, and `next_delay_ms` if given |
//! | `throw` | raises an error of its language with the message `plain` |
//! | `large_result` | returns 1 MiB and one byte |
//! | `wait_for_cancel` | waits until it should stop, returns the outcome "cancelled" |
//! | `sleep` | waits `ms`, returns `slept`; if cancelled, fails with `stopped`, retryable |
//! | `ignore_cancel` | waits `ms`, even when it should stop earlier, returns `finished` |
//! | `busy_loop` | uses the CPU for `ms` without yielding, returns `finished` |
//! | `progress` | reports 1..`n` of `n` in a loop with the message `<i>`, returns `reported` |
//! | `checkpoint` | stores `data`; returns `<last checkpoint>/<stored or fenced>` |
//! | `output` | writes each of `parts` as output; returns `stored` or the error: `fenced`, `too_large`, `rejected`, `unsupported` |
//! | `log` | logs `lines` at the level WARN, returns `logged` |
//! | `snooze` | snoozes the job for `ms` |
//! | `release` | releases the job |
//! | `throw_hostile` | ends by raising the `index`-th odd value of its language: without text, with text that raises while it is read, outside the usual hierarchy |
//! | `return_hostile` | returns the `index`-th value that has no JSON: NaN, cycles, functions |
//! | `advise_hostile` | reports progress and logs with the `index`-th odd number and text, returns `advised` |
//! | `throw_deep` | raises an error from a function `innermost_frame` (Node `innermostFrame`); Rust: an error with the cause `innermost cause` |
//! | `demo.effect` | as in the demo worker: appends to `file`, waits `ms`, returns the token |

//! The scenarios of clients run a client program. It accepts `--endpoint URL` (repeatable),
//! `--credential KEY` and `--ca FILE`, reads one JSON command per line from stdin, runs the commands
//! concurrently, writes one JSON line per finished command, and exits with 0 after the last one:
//!
//! | command | response |
//! |---|---|
//! | `{"id", "call": "enqueue", "kind", "payload", "deadline_ms"}` | `{"id", "ok": {"job_id"}}` |
//! | `{"id", "call": "get", "job_id", "deadline_ms"}` | `{"id", "ok": {"state", "version"}}` |
//! | `{"id", "call": "wait_for_result", "job_id", "deadline_ms"}` | `{"id", "ok": {"state", "result"}}` |
//!
//! A call that fails is `{"id", "error": {"type", "reason", "message", "violations", "retry_delay_ms"}}`
//! with the type `api`, `transport`, `timeout`, `invalid_argument` or `protocol`. An address that the
//! client refuses fails each command with `invalid_argument`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the scenario")]

mod client_program;
mod client_scenario;
mod fixtures;
mod job_server;
mod scenario;
mod scripted_server;
mod worker_program;

pub use client_program::ClientProgram;
pub use client_scenario::{CLIENT_SCENARIOS, ClientScenario};
pub use scenario::{SCENARIOS, Scenario};
pub use worker_program::WorkerProgram;
