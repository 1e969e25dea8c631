//! Jobs as types: the payload's type names the kind, the queue and the type of the result, so
//! that both sides of a job are checked by the compiler. All of it is JSON on the wire; callers
//! and workers in other languages see nothing of it.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::proto::jobs::v1::{self as wire, ItemError, JobError, JobState, StateReason};
use crate::{BatchOptions, CancelResult, Client, Error, NewJob, WatchOptions, WatchStream};

/// The payload of a kind of job.
///
/// ```
/// use sentinel_client::{Job, NewJob};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Resize {
///     image: String,
///     width: u32,
/// }
///
/// impl Job for Resize {
///     const KIND: &'static str = "image.resize";
///     type Result = u64;
///
///     fn configure(&self, job: NewJob) -> NewJob {
///         job.unique_key(format!("{}@{}", self.image, self.width)).max_attempts(5)
///     }
/// }
/// ```
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// Which handler runs it. 1..128 characters of `[A-Za-z0-9._-]`.
    const KIND: &'static str;
    /// Where it waits. As `KIND`.
    const QUEUE: &'static str = "default";
    /// What its handler returns. `()` for nothing.
    type Result: Serialize + DeserializeOwned + Send + 'static;

    /// How each job of this type is enqueued: priority, retries, a unique key ...
    fn configure(&self, job: NewJob) -> NewJob {
        job
    }
}

impl NewJob {
    /// The job of a typed payload, as its type configures it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the payload can not be written as JSON.
    pub fn from_payload<J: Job>(payload: &J) -> Result<Self, Error> {
        Ok(payload.configure(NewJob::new(J::QUEUE, J::KIND).json(payload)?))
    }
}

impl Client {
    /// Stores the job of a typed payload. It is durable when this returns.
    ///
    /// # Errors
    /// As [`Client::enqueue`].
    pub async fn submit<J: Job>(&self, payload: &J) -> Result<JobHandle<J>, Error> {
        self.submit_with(payload, |job| job).await
    }

    /// As [`Client::submit`], with options of this one job, after those of its type.
    ///
    /// # Errors
    /// As [`Client::enqueue`].
    pub async fn submit_with<J: Job>(
        &self,
        payload: &J,
        options: impl FnOnce(NewJob) -> NewJob,
    ) -> Result<JobHandle<J>, Error> {
        let enqueued = self.enqueue(options(NewJob::from_payload(payload)?)).await?;
        let handle = self.job(enqueued.job.id);
        Ok(JobHandle { deduplicated: enqueued.deduplicated, ..handle })
    }

    /// Stores 1..1000 jobs of 4 MiB in all in one commit. One result per payload, in order.
    ///
    /// # Errors
    /// As [`Client::enqueue_batch`].
    pub async fn submit_batch<'a, J: Job>(
        &self,
        payloads: impl IntoIterator<Item = &'a J>,
        options: BatchOptions,
    ) -> Result<Vec<Result<JobHandle<J>, ItemError>>, Error> {
        let specs =
            payloads.into_iter().map(|payload| Ok(NewJob::from_payload(payload)?.into_spec()));
        let results = self.enqueue_batch(specs.collect::<Result<_, Error>>()?, options).await?;
        let handle = |enqueued: wire::EnqueuedJob| {
            let handle = self.job(enqueued.id);
            JobHandle { deduplicated: enqueued.deduplicated, ..handle }
        };
        Ok(results.into_iter().map(|result| result.map(handle)).collect())
    }

    /// A job that was enqueued before, by its id. Nothing is asked yet, and nobody checks that it
    /// is of this kind.
    pub fn job<J: Job>(&self, id: impl Into<String>) -> JobHandle<J> {
        JobHandle { client: self.clone(), id: id.into(), deduplicated: false, kind: PhantomData }
    }
}

/// One job of a known type.
pub struct JobHandle<J> {
    client: Client,
    id: String,
    deduplicated: bool,
    kind: PhantomData<fn() -> J>,
}

impl<J> fmt::Debug for JobHandle<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<J> Clone for JobHandle<J> {
    fn clone(&self) -> Self {
        let (client, id) = (self.client.clone(), self.id.clone());
        Self { client, id, deduplicated: self.deduplicated, kind: PhantomData }
    }
}

impl<J: Job> JobHandle<J> {
    /// UUID of the job.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The job existed before: the holder of its unique key, or that of the same request.
    pub fn deduplicated(&self) -> bool {
        self.deduplicated
    }

    /// Waits until the job is final and answers what its handler returned. Breaks of the
    /// connection are bridged, without a limit in time.
    ///
    /// # Errors
    /// Every other end, and calls that can not be repeated.
    pub async fn result(&self) -> Result<J::Result, WaitError> {
        let job = self.client.wait_for_result(&self.id).await?;
        let id = job.id.clone();
        match job.state() {
            JobState::Succeeded => {
                // A handler without a result leaves nothing.
                let json: &[u8] = if job.result.is_empty() { b"null" } else { &job.result };
                serde_json::from_slice(json)
                    .map_err(|source| WaitError::InvalidResult { id, source })
            }
            JobState::Cancelled => Err(WaitError::Cancelled { id }),
            JobState::Expired => Err(WaitError::Expired { id }),
            _ => {
                let (reason, error) = (job.reason(), job.error.unwrap_or_default());
                Err(WaitError::Failed { id, reason, error })
            }
        }
    }

    /// A snapshot, then every change; ends when the job is final. See [`Client::watch`].
    pub fn watch(&self) -> WatchStream {
        self.client.watch(WatchOptions::jobs([self.id.clone()]))
    }

    /// The record, with payload and result.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get(&self) -> Result<wire::Job, Error> {
        self.client.get(&self.id).await
    }

    /// As [`Client::cancel`].
    ///
    /// # Errors
    /// As [`Client::cancel`].
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<CancelResult, Error> {
        self.client.cancel(&self.id, reason).await
    }

    /// As [`Client::retry`].
    ///
    /// # Errors
    /// As [`Client::retry`].
    pub async fn retry(&self) -> Result<wire::Job, Error> {
        self.client.retry(&self.id).await
    }
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The record could not be read.
    #[error(transparent)]
    Call(#[from] Error),
    /// FAILED: the handler gave up, or the last attempt failed.
    #[error("job {id} failed: {}", error.message)]
    Failed {
        /// Of the job.
        id: String,
        /// Why it is final.
        reason: StateReason,
        /// Of the last attempt.
        error: JobError,
    },
    /// CANCELLED.
    #[error("job {id} was cancelled")]
    Cancelled {
        /// Of the job.
        id: String,
    },
    /// EXPIRED: not started by its start_deadline.
    #[error("job {id} was not started by its deadline")]
    Expired {
        /// Of the job.
        id: String,
    },
    /// The result is of another type.
    #[error("the result of job {id} is not of the expected type: {source}")]
    InvalidResult {
        /// Of the job.
        id: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}
