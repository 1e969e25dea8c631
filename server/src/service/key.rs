//! Implements KeyService.

use sentinel_domain::{ApiKey, KeyId, Millis, Role, Scopes};
use sentinel_engine::Clock;
use sentinel_proto::admin::v1 as wire;
use sentinel_proto::admin::v1::key_service_server::KeyService;
use tonic::{Request, Response, Status};

use super::status::{invalid_field, key_not_found, to_status, too_many_keys};
use super::{from_wire, to_wire};
use crate::identity::{ApiKeys, Caller, CreateKeyError};

/// KeyApi of a page when page_size is 0.
const PAGE_DEFAULT: u64 = 100;

/// Implements KeyService.
pub(crate) struct KeyApi {
    api_keys: ApiKeys,
    clock: Clock,
}

impl KeyApi {
    /// Creates the service.
    pub(crate) fn new(api_keys: ApiKeys, clock: Clock) -> Self {
        Self { api_keys, clock }
    }
}

fn role_from_wire(number: i32) -> Result<Role, Status> {
    match wire::Role::try_from(number) {
        Ok(wire::Role::Viewer) => Ok(Role::Viewer),
        Ok(wire::Role::Operator) => Ok(Role::Operator),
        Ok(wire::Role::Admin) => Ok(Role::Admin),
        Ok(wire::Role::Producer) => Ok(Role::Producer),
        Ok(wire::Role::Worker) => Ok(Role::Worker),
        Ok(wire::Role::Unspecified) => Err(invalid_field("role", "is required")),
        Err(_) => Err(invalid_field("role", format!("{number} is not known to this version"))),
    }
}

const fn role_to_wire(role: Role) -> wire::Role {
    match role {
        Role::Viewer => wire::Role::Viewer,
        Role::Operator => wire::Role::Operator,
        Role::Admin => wire::Role::Admin,
        Role::Producer => wire::Role::Producer,
        Role::Worker => wire::Role::Worker,
    }
}

fn key_to_wire(key: ApiKey) -> wire::Key {
    let time = |at: Option<Millis>| at.map(to_wire::timestamp);
    wire::Key {
        id: key.id.to_string(),
        name: key.name.to_string(),
        role: role_to_wire(key.role).into(),
        queues: key.scopes.patterns().iter().map(ToString::to_string).collect(),
        created_at: time(Some(key.created_at)),
        created_by: key.created_by,
        expires_at: time(key.expires_at),
        revoked_at: time(key.revoked_at),
        last_used_at: time(key.last_used_at),
    }
}

/// Parses the position of a page: creation time and id of the last key of the page before.
fn parse_page_token(token: &str) -> Result<Option<(Millis, KeyId)>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parse = || {
        let (at, id) = token.split_once('.')?;
        Some((at.parse().ok()?, id.parse().ok()?))
    };
    let invalid = || invalid_field("page_token", "is not a next_page_token");
    parse().map(Some).ok_or_else(invalid)
}

#[tonic::async_trait]
impl KeyService for KeyApi {
    async fn create_key(
        &self,
        request: Request<wire::CreateKeyRequest>,
    ) -> Result<Response<wire::CreateKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        caller.set_audit_details(&request.name, "", "");
        let key = ApiKey {
            id: KeyId(0),
            secret_hash: [0; 32],
            name: request.name.into(),
            role: role_from_wire(request.role)?,
            scopes: Scopes::new(request.queues.into_iter().map(Into::into)),
            created_at: self.clock.now(),
            created_by: caller.actor("").into_owned(),
            expires_at: from_wire::time("expires_at", request.expires_at)?,
            revoked_at: None,
            last_used_at: None,
        };
        match self.api_keys.create(key).await {
            Ok((credential, key)) => Ok(Response::new(wire::CreateKeyResponse {
                credential: credential.reveal(),
                key: Some(key_to_wire(key)),
            })),
            Err(CreateKeyError::Engine(error)) => Err(to_status(error)),
            Err(full @ CreateKeyError::Full { .. }) => Err(too_many_keys(full.to_string())),
        }
    }

    async fn list_keys(
        &self,
        request: Request<wire::ListKeysRequest>,
    ) -> Result<Response<wire::ListKeysResponse>, Status> {
        let request = request.into_inner();
        let size = from_wire::page_size(request.page_size, PAGE_DEFAULT)?;
        let after = parse_page_token(&request.page_token)?;
        let mut keys = self.api_keys.list().await.map_err(to_status)?;
        keys.retain(|key| after.is_none_or(|after| (key.created_at, key.id) < after));
        let has_more = keys.len() > size;
        keys.truncate(size);
        let last = keys.last().filter(|_| has_more);
        let next_page_token = last.map(|key| format!("{}.{}", key.created_at, key.id));
        Ok(Response::new(wire::ListKeysResponse {
            keys: keys.into_iter().map(key_to_wire).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        }))
    }

    async fn revoke_key(
        &self,
        request: Request<wire::RevokeKeyRequest>,
    ) -> Result<Response<wire::RevokeKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        caller.set_audit_details(&request.id, "", "");
        let invalid =
            |error: sentinel_domain::ParseKeyIdError| invalid_field("id", error.to_string());
        let id: KeyId = request.id.parse().map_err(invalid)?;
        let revoked = self.api_keys.revoke(id).await.map_err(to_status)?;
        let key = revoked.ok_or_else(|| key_not_found(id))?;
        Ok(Response::new(wire::RevokeKeyResponse { key: Some(key_to_wire(key)) }))
    }
}
