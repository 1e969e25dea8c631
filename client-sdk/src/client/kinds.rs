//! The verbs of KindService.

use crate::proto::jobs::v1::{GetKindRequest, JobKind, ListKindsRequest};
use crate::{Client, Error};

/// Schemas are large: a page stays well within a message.
const PAGE_SIZE: i32 = 200;
/// A server that always hands out another page token must not hold the caller for ever.
const MAX_PAGES: u32 = 1000;

impl Client {
    /// The kinds that workers have or had, by name, at most 200,000.
    pub async fn list_kinds(&self) -> Result<Vec<JobKind>, Error> {
        let mut kinds = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let request = ListKindsRequest { page_size: PAGE_SIZE, page_token };
            let page = self
                .repeat(request, |request| {
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

    /// One kind.
    pub async fn get_kind(&self, name: impl Into<String>) -> Result<JobKind, Error> {
        let request = GetKindRequest { name: name.into() };
        let response = self
            .repeat(request, |request| {
                let mut raw = self.raw_kinds();
                async move { raw.get_kind(request).await }
            })
            .await?;
        response.kind.ok_or(Error::Protocol { message: "GetKindResponse without kind" })
    }
}
