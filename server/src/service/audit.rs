//! Implements AuditService.

use sentinel_domain::{AuditEntry, JobId};
use sentinel_ledger::Ledger;
use sentinel_proto::admin::v1 as wire;
use sentinel_proto::admin::v1::audit_service_server::AuditService;
use tonic::{Request, Response, Status};

use super::status::{invalid_field, to_status};
use super::{from_wire, to_wire};

/// The page size if `page_size` is 0.
const PAGE_DEFAULT: u64 = 100;

/// Implements AuditService.
pub(crate) struct AuditApi {
    ledger: Ledger,
}

impl AuditApi {
    /// Creates the service.
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }
}

fn entry_to_wire(entry: AuditEntry) -> wire::AuditEntry {
    let AuditEntry { id, actor, key, action, target, peer, request_id, outcome } = entry;
    wire::AuditEntry {
        id: id.to_string(),
        at: Some(to_wire::timestamp(id.created_at())),
        actor,
        key_id: key.map(|key| key.to_string()).unwrap_or_default(),
        action,
        target,
        peer,
        request_id,
        outcome,
    }
}

#[tonic::async_trait]
impl AuditService for AuditApi {
    async fn list_audit_entries(
        &self,
        request: Request<wire::ListAuditEntriesRequest>,
    ) -> Result<Response<wire::ListAuditEntriesResponse>, Status> {
        let request = request.into_inner();
        let size = from_wire::page_size(request.page_size, PAGE_DEFAULT)?;
        let below: Option<JobId> = match request.page_token.as_str() {
            "" => None,
            token => Some(
                token
                    .parse()
                    .map_err(|_| invalid_field("page_token", "is not a next_page_token"))?,
            ),
        };
        // One more than requested shows whether there is a further page.
        let found = self.ledger.list_audit(below, size + 1).await;
        let mut entries = found.map_err(|error| to_status(error.into()))?;
        let has_more = entries.len() > size;
        entries.truncate(size);
        let last = entries.last().filter(|_| has_more);
        let next_page_token = last.map(|entry| entry.id.to_string()).unwrap_or_default();
        let entries = entries.into_iter().map(entry_to_wire).collect();
        Ok(Response::new(wire::ListAuditEntriesResponse { entries, next_page_token }))
    }
}
