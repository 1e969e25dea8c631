//! The methods of KindService.

use crate::proto::jobs::v1::{GetKindRequest, JobKind, ListKindsRequest};
use crate::{Client, Error};

/// Small, because JSON Schemas can be large and a page must fit into one message.
const PAGE_SIZE: i32 = 200;
/// Ends the loop when a faulty server returns a next page token forever.
const MAX_PAGES: u32 = 1000;

impl Client {
    /// Lists the kinds that workers have ever declared, by name, at most 200,000.
    pub async fn list_kinds(&self) -> Result<Vec<JobKind>, Error> {
        let mut kinds = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let request = ListKindsRequest { page_size: PAGE_SIZE, page_token };
            let page = self
                .call_with_retry(request, |request| {
                    let mut raw = self.raw_kinds();
                    async move { raw.list_kinds(request).await }
                })
                .await?;
            kinds.extend(page.kinds);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(kinds)
    }

    /// Gets one kind.
    pub async fn get_kind(&self, name: impl Into<String>) -> Result<JobKind, Error> {
        let request = GetKindRequest { name: name.into() };
        let response = self
            .call_with_retry(request, |request| {
                let mut raw = self.raw_kinds();
                async move { raw.get_kind(request).await }
            })
            .await?;
        response.kind.ok_or(Error::Protocol { message: "GetKindResponse without kind" })
    }
}
