//! A Sentinel server inside of your test: the real one, with its journal in a temporary folder, on
//! a free port of this machine, with a clock that the test turns. For `[dev-dependencies]`.
//!
//! ```
//! use std::time::Duration;
//!
//! use sentinel_client::Job;
//! use sentinel_client::worker::{JobContext, HandlerError};
//! use sentinel_testing::TestServer;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Remind {
//!     who: String,
//! }
//! impl Job for Remind {
//!     const KIND: &'static str = "remind";
//!     type Result = String;
//! }
//! async fn remind(_job: JobContext, payload: Remind) -> Result<String, HandlerError> {
//!     Ok(format!("{} was reminded", payload.who))
//! }
//!
//! # #[tokio::main] async fn main() {
//! let server = TestServer::start().await;
//! let _worker = server.start_worker(server.worker().job(remind));
//! let tomorrow = Duration::from_secs(24 * 3600);
//! let remind = Remind { who: "Ada".into() };
//! let job = server.client().submit_with(&remind, |job| job.delay(tomorrow)).await.unwrap();
//! assert_eq!(server.wait_for_payloads::<Remind>(1).await[0].who, "Ada");
//! server.clock().advance(tomorrow);
//! assert_eq!(job.result().await.unwrap(), "Ada was reminded");
//! # }
//! ```

mod clock;
mod enqueued;
mod server;

pub use clock::TestClock;
pub use server::{TestServer, TestWorker};
