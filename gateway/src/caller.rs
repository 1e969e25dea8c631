//! Who sends a request, from which page, and how much they may send at a time.

mod budget;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri, header};
use http_body_util::Limited;

use self::budget::Budget;
use crate::held::Held;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::settings::Settings;

/// How a browser says from where a page calls.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The checks that come before any route.
#[derive(Clone)]
pub(crate) struct Guard {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    budget: Budget,
    metrics: Metrics,
}

impl Guard {
    pub(crate) fn new(settings: Settings, metrics: Metrics) -> Self {
        let budget = Budget::new(settings.limits);
        Self { shared: Arc::new(Shared { settings, budget, metrics }) }
    }

    /// Lets go of clients that were not heard for a while.
    pub(crate) fn forget_idle(&self) {
        self.shared.budget.forget_idle();
    }

    fn client(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(address)| address.ip());
        if !self.shared.settings.trusts_forwarded {
            return peer;
        }
        // The last one is what our own proxy has seen; those before it are what it was told.
        let told = request.headers().get_all(FORWARDED_FOR).into_iter().next_back();
        let told = told.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        told.and_then(|text| text.trim().parse().ok()).unwrap_or(peer)
    }

    fn check_page(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Settings { allow_hosts, allow_origins, .. } = &self.shared.settings;
        if !allow_hosts.is_empty() {
            let name = host(headers).map(|host| host.host().to_ascii_lowercase());
            // The page of a stranger whose name was made to resolve to this machine.
            if name.is_none_or(|name| !allow_hosts.contains(&name)) {
                return Err(Refusal::foreign_host());
            }
        }
        match headers.get(header::ORIGIN) {
            Some(origin) if !is_same_origin(headers) && !allow_origins.contains(origin) => {
                Err(Refusal::foreign_origin())
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let max = self.shared.settings.limits.body_max_bytes;
        if length.is_some_and(|length| length > max) {
            Err(Refusal::too_large(max))
        } else {
            Ok(())
        }
    }
}

/// Refuses what may not come in; what may keeps its place until its answer has ended.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let client = guard.client(&request);
    let headers = request.headers();
    let admitted = guard
        .check_page(headers)
        .and_then(|()| guard.check_size(headers))
        .and_then(|()| guard.shared.budget.admit(client));
    match admitted {
        Ok(place) => {
            let max = guard.shared.settings.limits.body_max_bytes;
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            let request = request.map(|body| Body::new(Limited::new(body, max)));
            next.run(request).await.map(|body| Body::new(Held::new(body, place)))
        }
        Err(refusal) => {
            guard.shared.metrics.refused(refusal.reason);
            refusal.answer(headers)
        }
    }
}

/// Whether the request comes from a page of this very gateway, or from no page at all.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = authority(origin);
    origin.is_some() && origin == host(headers)
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}

fn authority(origin: &HeaderValue) -> Option<Authority> {
    origin.to_str().ok()?.parse::<Uri>().ok()?.authority().cloned()
}

#[cfg(test)]
mod tests;
