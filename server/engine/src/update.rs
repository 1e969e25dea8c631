//! Update: other values for a job that has not started.

use std::sync::Arc;

use sentinel_domain::{Ack, Command, Job, JobId, NewValues, Refusal, decide};
use sentinel_store::{Mutation, Precondition, Transaction, TransactionResult, codec};

use crate::retry::answers;
use crate::{Engine, EngineError, RequestKey, TRIES, index};

impl Engine {
    /// Changes the spec of a job before its first start; with `version`, only of this one.
    pub async fn update(
        &self,
        id: JobId,
        values: &NewValues,
        version: Option<u64>,
        request: Option<RequestKey>,
    ) -> Result<Arc<Job>, EngineError> {
        let mut job = self.get(id).await?;
        for _ in 0..TRIES {
            if let Some(wanted) = version.filter(|wanted| *wanted != job.status.version) {
                let found = job.status.version;
                let refused = EngineError::OtherVersion { id, wanted, found };
                return self.updated_before(&job, request.as_ref(), refused).await;
            }
            let max_bytes = self.settings.payload_max_bytes;
            let spec = values.apply(&job.spec, "spec", self.now(), max_bytes);
            let mut spec = spec.map_err(EngineError::Invalid)?;
            if values.payload.is_some() || values.content_type.is_some() {
                let queue = self.get_queue(&spec.queue).await?;
                index::renew_labels(&mut spec, &queue);
            }
            let spec = Arc::new(spec);
            let bytes = codec::encode_spec(&spec);
            let decision = match decide(&job, &Command::Update { spec }, self.now()) {
                Ok(decision) => decision,
                Err(Refusal::Deleted) => return Err(EngineError::JobNotFound(id)),
                Err(_) => {
                    let refused = EngineError::Started { id, state: job.status.state };
                    return self.updated_before(&job, request.as_ref(), refused).await;
                }
            };
            let after = Arc::new(decision.job);
            let group = Transaction {
                request: request.as_ref().map(|r| self.memory(r, &[Ok((id, false))])),
                guards: vec![Precondition::JobVersion { id, version: job.status.version }],
                changes: vec![Mutation::ReplaceSpec { job: after.clone(), spec: bytes }],
            };
            match self.acknowledge(group, Ack::Store).await? {
                TransactionResult::Committed => return Ok(after),
                TransactionResult::Repeated(_) => return self.known(id).await,
                TransactionResult::RequestReused => return Err(EngineError::RequestReused),
                TransactionResult::Conflict(_) => job = self.get(id).await?,
            }
        }
        Err(EngineError::Contended)
    }

    /// A repeat of a request that was carried out finds another version, or a job that started.
    async fn updated_before(
        &self,
        job: &Arc<Job>,
        request: Option<&RequestKey>,
        refused: EngineError,
    ) -> Result<Arc<Job>, EngineError> {
        match self.recall(request).await? {
            Some(bytes) if answers(&bytes, job.id) => self.known(job.id).await,
            _ => Err(refused),
        }
    }
}
