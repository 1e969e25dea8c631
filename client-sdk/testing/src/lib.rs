//! A Sentinel server inside your test: the real server on a free port, with its data in a temporary
//! directory and a clock that the test advances. For `[dev-dependencies]`.
//!
//! ```
//! use std::time::Duration;
//!
//! use sentinel_client::Job;
//! use sentinel_client::worker::{HandlerError, JobContext};
//! use sentinel_testing::TestServer;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Remind {
//!     name: String,
//! }
//! impl Job for Remind {
//!     const KIND: &'static str = "remind";
//!     type Result = String;
//! }
//! async fn remind(_job: JobContext, payload: Remind) -> Result<String, HandlerError> {
//!     Ok(format!("{} was reminded", payload.name))
//! }
//!
//! # #[tokio::main] async fn main() {
//! let server = TestServer::start().await;
//! let _worker = server.start_worker(server.worker().job(remind));
//! let day = Duration::from_secs(24 * 3600);
//! let payload = Remind { name: "Ada".into() };
//! let job = server.client().submit_with(&payload, |job| job.delay(day)).await.unwrap();
//! assert_eq!(server.wait_for_payloads::<Remind>(1).await[0].name, "Ada");
//! server.clock().advance(day);
//! assert_eq!(job.result().await.unwrap(), "Ada was reminded");
//! # }
//! ```

mod clock;
mod jobs;
mod server;

pub use clock::TestClock;
pub use server::{TestServer, TestWorker};
