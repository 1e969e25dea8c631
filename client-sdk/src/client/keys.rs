//! The methods of KeyService and AuditService.

use crate::proto::admin::v1::{
    AuditEntry, CreateKeyRequest, CreateKeyResponse, Key, ListAuditEntriesRequest,
    ListAuditEntriesResponse, ListKeysRequest, RevokeKeyRequest,
};
use crate::{Client, Error};

const PAGE_SIZE: i32 = 1000;
/// Ends the loop when a faulty server returns a next page token forever.
const MAX_PAGES: u32 = 100;

impl Client {
    /// Creates an API key. Not retried: a retry could create a second key.
    pub async fn create_key(&self, request: CreateKeyRequest) -> Result<CreateKeyResponse, Error> {
        let mut request = tonic::Request::new(request);
        request.set_timeout(self.timeout);
        Ok(self.raw_keys().create_key(request).await?.into_inner())
    }

    /// Lists all API keys, newest first.
    pub async fn list_keys(&self) -> Result<Vec<Key>, Error> {
        let mut keys = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let request = ListKeysRequest { page_size: PAGE_SIZE, page_token };
            let page = self.call_with_retry(request, |request| {
                let mut raw = self.raw_keys();
                async move { raw.list_keys(request).await }
            });
            let page = page.await?;
            keys.extend(page.keys);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(keys)
    }

    /// Revokes an API key. Idempotent.
    pub async fn revoke_key(&self, id: impl Into<String>) -> Result<Key, Error> {
        let request = RevokeKeyRequest { id: id.into() };
        let response = self.call_with_retry(request, |request| {
            let mut raw = self.raw_keys();
            async move { raw.revoke_key(request).await }
        });
        response.await?.key.ok_or(Error::Protocol { message: "RevokeKeyResponse without key" })
    }

    /// Lists the newest entries of the audit log, at most `limit`.
    pub async fn list_audit_entries(&self, limit: usize) -> Result<Vec<AuditEntry>, Error> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let missing = i32::try_from(limit - entries.len()).unwrap_or(PAGE_SIZE);
            let page_size = missing.clamp(1, PAGE_SIZE);
            let request = ListAuditEntriesRequest { page_size, page_token };
            let page = self.call_with_retry(request, |request| {
                let mut raw = self.raw_audit();
                async move { raw.list_audit_entries(request).await }
            });
            let ListAuditEntriesResponse { entries: more, next_page_token } = page.await?;
            entries.extend(more);
            page_token = next_page_token;
            if page_token.is_empty() || entries.len() >= limit {
                break;
            }
        }
        entries.truncate(limit);
        Ok(entries)
    }
}
