//! The routing table, built from the HTTP rules of the API. A new call with an HTTP rule is served
//! without a change here.

use std::sync::LazyLock;

use http::Method;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

use super::descriptors;
use super::template::{Captures, PathTemplate};
use crate::error::GatewayError;

/// One HTTP rule of one call.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) template: PathTemplate,
    pub(crate) body: BodyRule,
    pub(crate) call: MethodDescriptor,
    /// The path of the gRPC call: `/package.Service/Method`.
    pub(crate) path: String,
}

/// What the body of a request holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyRule {
    /// Nothing. Fields that are not in the path are query parameters.
    Empty,
    /// The whole message, except the fields in the path.
    Message,
    /// One field of the message. The others are query parameters.
    Field(String),
}

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let calls =
        descriptors::pool().services().flat_map(|service| service.methods().collect::<Vec<_>>());
    calls.flat_map(|call| routes_of(&call)).collect()
});

/// Returns all routes in the order of the proto files.
pub(crate) fn all() -> &'static [Route] {
    &ROUTES
}

/// Returns the route of a request and the fields in its path.
///
/// # Errors
/// 404 when no route matches the path, and 405 when only the method does not match.
pub(crate) fn find(
    method: &Method,
    path: &str,
) -> Result<(&'static Route, Captures<'static>), GatewayError> {
    let mut allowed: Vec<&str> = Vec::new();
    for route in all() {
        let Some(captures) = route.template.matches(path) else { continue };
        if route.method == *method {
            return Ok((route, captures?));
        }
        allowed.push(route.method.as_str());
    }
    if allowed.is_empty() {
        return Err(GatewayError::no_such_route(path));
    }
    allowed.sort_unstable();
    allowed.dedup();
    Err(GatewayError::method_not_allowed(method, path, allowed.join(", ")))
}

fn routes_of(call: &MethodDescriptor) -> Vec<Route> {
    let Some(extension) = descriptors::pool().get_extension_by_name("google.api.http") else {
        return Vec::new();
    };
    let options = call.options();
    if !options.has_extension(&extension) || call.is_client_streaming() {
        return Vec::new();
    }
    let rule = options.get_extension(&extension);
    let Some(rule) = rule.as_message() else { return Vec::new() };
    let mut routes = vec![route(call, rule)];
    let additional = rule.get_field_by_name("additional_bindings");
    if let Some(additional) = additional.as_deref().and_then(Value::as_list) {
        let rules = additional.iter().filter_map(Value::as_message);
        routes.extend(rules.map(|rule| route(call, rule)));
    }
    routes
}

fn route(call: &MethodDescriptor, rule: &DynamicMessage) -> Route {
    let text = |name: &str| -> Option<String> {
        let value = rule.get_field_by_name(name)?;
        Some(value.as_str()?.to_owned()).filter(|text| !text.is_empty())
    };
    let methods = [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ];
    let mut patterns = methods.into_iter().filter_map(|(name, method)| Some((method, text(name)?)));
    let (method, path) = patterns.next().expect("an HTTP rule has a method and a path");
    let body = match text("body").as_deref() {
        None => BodyRule::Empty,
        Some("*") => BodyRule::Message,
        Some(field) => BodyRule::Field(field.to_owned()),
    };
    Route {
        method,
        template: PathTemplate::parse(&path),
        body,
        call: call.clone(),
        path: format!("/{}/{}", call.parent_service().full_name(), call.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls with a stream of requests, which HTTP/1.1 cannot carry.
    const CLIENT_STREAMING: [&str; 2] =
        ["sentinel.jobs.v1.IngestService.Ingest", "sentinel.workers.v1.WorkerService.Session"];

    #[test]
    fn every_call_has_a_route_except_client_streaming_calls() {
        let mut without_route: Vec<String> = Vec::new();
        for service in descriptors::pool().services() {
            for call in service.methods() {
                if !all().iter().any(|route| route.call == call) {
                    without_route.push(call.full_name().to_owned());
                }
            }
        }
        without_route.sort();
        assert_eq!(without_route, CLIENT_STREAMING);
    }

    #[test]
    fn fields_in_paths_and_bodies_exist_in_the_request() {
        for route in all() {
            let names = route.template.fields().map(str::to_owned);
            let body = match &route.body {
                BodyRule::Field(name) => Some(name.clone()),
                _ => None,
            };
            for name in names.chain(body) {
                let mut message = Some(route.call.input());
                for part in name.split('.') {
                    let field = message.expect("the parent is a message").get_field_by_name(part);
                    let kind = field.unwrap_or_else(|| panic!("{}: {name}", route.path)).kind();
                    message = kind.as_message().cloned();
                }
            }
        }
    }

    #[test]
    fn no_two_routes_match_the_same_path() {
        for (index, route) in all().iter().enumerate() {
            let path = route.template.text.replace(['{', '}'], "");
            let (found, _) = find(&route.method, &path).expect("a route matches its own path");
            assert_eq!(found.path, route.path, "{index}: {path}");
        }
    }
}
