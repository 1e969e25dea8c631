//! Implements KindService.

use sentinel_domain::check_name;
use sentinel_domain::limits::PAGE_DEFAULT;
use sentinel_engine::Engine;
use sentinel_proto::jobs::v1 as wire;
use sentinel_proto::jobs::v1::kind_service_server::KindService;
use tonic::{Request, Response, Status};

use super::status::{invalid, invalid_field, to_status};
use super::{from_wire, to_wire};

/// Implements KindService.
#[derive(Clone)]
pub struct KindApi {
    engine: Engine,
}

impl KindApi {
    /// Creates the service.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

fn is_name(name: &str) -> bool {
    let mut found = Vec::new();
    check_name(&mut found, "", name);
    found.is_empty()
}

#[tonic::async_trait]
impl KindService for KindApi {
    async fn list_kinds(
        &self,
        request: Request<wire::ListKindsRequest>,
    ) -> Result<Response<wire::ListKindsResponse>, Status> {
        let request = request.into_inner();
        let size = from_wire::page_size(request.page_size, PAGE_DEFAULT)?;
        if !request.page_token.is_empty() && !is_name(&request.page_token) {
            return Err(invalid_field("page_token", "is not a next_page_token"));
        }
        let page = self.engine.kinds().list(&request.page_token, size).await.map_err(to_status)?;
        let last = page.kinds.last().filter(|_| page.has_more);
        let next_page_token = last.map(|kind| kind.known.name.to_string()).unwrap_or_default();
        let kinds = page.kinds.into_iter().map(to_wire::kind).collect();
        Ok(Response::new(wire::ListKindsResponse { kinds, next_page_token }))
    }

    async fn get_kind(
        &self,
        request: Request<wire::GetKindRequest>,
    ) -> Result<Response<wire::GetKindResponse>, Status> {
        let name = request.into_inner().name;
        let mut found = Vec::new();
        check_name(&mut found, "name", &name);
        if !found.is_empty() {
            return Err(invalid(found));
        }
        let kind = self.engine.kinds().get(&name).await.map_err(to_status)?;
        Ok(Response::new(wire::GetKindResponse { kind: Some(to_wire::kind(kind)) }))
    }
}
