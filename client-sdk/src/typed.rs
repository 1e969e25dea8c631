//! Typed jobs: the payload type defines the kind, the queue and the result type, so that the
//! compiler checks callers and handlers. Payload and result are JSON on the wire, so callers and
//! workers in other languages can take part.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::proto::jobs::v1::{self as wire, ItemError, JobError, JobState, JobView, StateReason};
use crate::{BatchOptions, CancelResult, Client, Error, NewJob, WatchOptions, WatchStream, id};

/// The payload type of a kind.
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
    /// The kind, which selects the handler. 1..128 characters of `[A-Za-z0-9._-]`.
    const KIND: &'static str;
    /// The queue. 1..128 characters of `[A-Za-z0-9._-]`.
    const QUEUE: &'static str = "default";
    /// The type that the handler returns; `()` for no result.
    type Result: Serialize + DeserializeOwned + Send + 'static;

    /// Sets the options of each job of this type, such as priority, retries or a unique key.
    fn configure(&self, job: NewJob) -> NewJob {
        job
    }
}

impl NewJob {
    /// The job of a typed payload, with the options that [`Job::configure`] sets.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the payload cannot be serialized as JSON.
    pub fn from_payload<J: Job>(payload: &J) -> Result<Self, Error> {
        Ok(payload.configure(NewJob::new(J::QUEUE, J::KIND).json(payload)?))
    }
}

impl Client {
    /// Enqueues the job of a typed payload. It is durable when this returns.
    ///
    /// # Errors
    /// As [`Client::enqueue`].
    pub async fn submit<J: Job>(&self, payload: &J) -> Result<JobHandle<J>, Error> {
        self.submit_with(payload, |job| job).await
    }

    /// As [`Client::submit`]; `options` is applied after [`Job::configure`].
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

    /// Enqueues 1..1000 typed jobs of at most 4 MiB in total in one transaction. Returns one result
    /// per payload, in order.
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

    /// A handle of an existing job. Makes no call and does not check the kind of the job.
    pub fn job<J: Job>(&self, id: impl Into<String>) -> JobHandle<J> {
        JobHandle {
            client: self.clone(),
            id: id::canonical(id),
            deduplicated: false,
            kind: PhantomData,
        }
    }
}

/// A handle of one typed job.
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
    /// The UUID of the job.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the job existed before this enqueue: it holds the unique key or was created under
    /// the same idempotency key.
    pub fn deduplicated(&self) -> bool {
        self.deduplicated
    }

    /// Waits until the job is terminal and returns its result. Reconnects automatically and waits
    /// without a time limit.
    ///
    /// # Errors
    /// When the job did not succeed, or a call failed permanently.
    pub async fn result(&self) -> Result<J::Result, WaitError> {
        let job = self.client.wait_for_result(&self.id).await?;
        let id = job.id.clone();
        match job.state() {
            JobState::Succeeded => {
                // A handler without a result leaves it empty.
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

    /// Watches the job: a snapshot, then every change, until the job is terminal. See
    /// [`Client::watch`].
    pub fn watch(&self) -> WatchStream {
        self.client.watch(WatchOptions::jobs([self.id.clone()]))
    }

    /// Gets the job with payload and result.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get(&self) -> Result<wire::Job, Error> {
        self.client.get(&self.id).await
    }

    /// Gets the state of the job.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn state(&self) -> Result<JobState, Error> {
        Ok(self.client.get_view(&self.id, JobView::Basic).await?.state())
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

/// Why [`JobHandle::result`] returned no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] Error),
    /// FAILED: the last attempt failed, or the error was not retryable.
    #[error("job {id} failed: {}", error.message)]
    Failed {
        /// The id of the job.
        id: String,
        /// Why the job has this state.
        reason: StateReason,
        /// The error of the last attempt.
        error: JobError,
    },
    /// CANCELLED.
    #[error("job {id} was cancelled")]
    Cancelled {
        /// The id of the job.
        id: String,
    },
    /// EXPIRED: the job was not started by its `start_deadline`.
    #[error("job {id} expired: it was not started by its start_deadline")]
    Expired {
        /// The id of the job.
        id: String,
    },
    /// The result does not have the expected type.
    #[error("the result of job {id} does not have the expected type: {source}")]
    InvalidResult {
        /// The id of the job.
        id: String,
        /// The error of the deserializer.
        source: serde_json::Error,
    },
}
