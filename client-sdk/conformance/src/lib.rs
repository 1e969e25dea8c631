//! What every worker runtime must do, whatever language it is written in: named scenarios, each
//! played by a peer that speaks the wire contract and misbehaves on cue, against a worker process
//! that has the agreed handlers. A broken rule panics with what was expected.
//!
//! The worker program takes `--endpoint URL` (repeated), `--concurrency N` (default 8),
//! `--drain-timeout-ms N` (default 30,000) and `--instance NAME` (default `conformance`). It serves
//! the queue `default` as build `1.2.3` with the label `zone=a`, drains on SIGTERM and exits with 0,
//! or with another code when its first Hello is refused. Its handlers take JSON:
//!
//! | kind | does |
//! |---|---|
//! | `echo` | answers its payload |
//! | `fail` | fails with `message`, `code`, `retryable`, and `next_delay_ms` if given |
//! | `throw` | raises an error of its language with the text `plain` |
//! | `big` | answers 1 MiB and one byte |
//! | `wait` | stops when told to, and says that it was cancelled |
//! | `sleep` | waits `ms`, answers `slept`; stopped before, it fails with `stopped`, retryable |
//! | `deaf` | waits `ms` whatever it is told, answers `deaf` |
//! | `spin` | keeps its processor busy for `ms` without a break, answers `spun` |
//! | `progress` | reports 1..`n` of `n` in a row with the message `<i>`, answers `told` |
//! | `checkpoint` | stores `data`; answers `<what the attempt before left>/<stored or fenced>` |
//! | `output` | hands out the texts `parts`, one after the other; answers `stored`, or why not: `fenced`, `too_large`, `not_taken`, `unsupported` |
//! | `log` | logs `lines` at the level WARN, answers `logged` |
//! | `snooze` | asks to be run again after `ms` |
//! | `release` | hands the job back |
//! | `demo.effect` | as that of the demo worker: appends to `file`, waits `ms`, answers its fence |

#![expect(clippy::unwrap_used, reason = "a failed expectation is the verdict")]

mod peer;
mod runtime;
mod scenario;

pub use runtime::Runtime;
pub use scenario::{SCENARIOS, Scenario};
