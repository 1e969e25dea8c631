//! Which call is behind a path: a table that is read from the contract, so that a new call with
//! an HTTP rule is served without a line here.

use std::sync::LazyLock;

use http::Method;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

use super::contract;
use super::fault::Fault;
use super::template::{Captures, Template};

/// One HTTP rule of one call.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) template: Template,
    pub(crate) body: BodyRule,
    pub(crate) call: MethodDescriptor,
    /// `/package.Service/Method`.
    pub(crate) path: String,
}

/// What the body of a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyRule {
    /// There is none; fields that the path does not have are query parameters.
    Nothing,
    /// The message, without what the path has.
    Everything,
    /// One field of the message; the others are query parameters.
    Field(String),
}

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let calls =
        contract::pool().services().flat_map(|service| service.methods().collect::<Vec<_>>());
    calls.flat_map(|call| routes_of(&call)).collect()
});

/// All of them, in the order of the contract.
pub(crate) fn all() -> &'static [Route] {
    &ROUTES
}

/// The route of a request and what its path says, or 404, or 405 with what there is.
pub(crate) fn find(
    method: &Method,
    path: &str,
) -> Result<(&'static Route, Captures<'static>), Fault> {
    let mut others: Vec<&str> = Vec::new();
    for route in all() {
        let Some(captures) = route.template.read(path) else { continue };
        if route.method == *method {
            return Ok((route, captures?));
        }
        others.push(route.method.as_str());
    }
    if others.is_empty() {
        return Err(Fault::no_route(path));
    }
    others.sort_unstable();
    others.dedup();
    Err(Fault::wrong_method(method, path, others.join(", ")))
}

fn routes_of(call: &MethodDescriptor) -> Vec<Route> {
    let Some(extension) = contract::pool().get_extension_by_name("google.api.http") else {
        return Vec::new();
    };
    let options = call.options();
    if !options.has_extension(&extension) || call.is_client_streaming() {
        return Vec::new();
    }
    let rule = options.get_extension(&extension);
    let Some(rule) = rule.as_message() else { return Vec::new() };
    let mut routes = vec![route(call, rule)];
    let more = rule.get_field_by_name("additional_bindings");
    if let Some(more) = more.as_deref().and_then(Value::as_list) {
        let more = more.iter().filter_map(Value::as_message);
        routes.extend(more.map(|rule| route(call, rule)));
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
    let mut pattern = methods.into_iter().filter_map(|(name, method)| Some((method, text(name)?)));
    let (method, path) = pattern.next().expect("an HTTP rule has a method and a path");
    let body = match text("body").as_deref() {
        None => BodyRule::Nothing,
        Some("*") => BodyRule::Everything,
        Some(field) => BodyRule::Field(field.to_owned()),
    };
    Route {
        method,
        template: Template::parse(&path),
        body,
        call: call.clone(),
        path: format!("/{}/{}", call.parent_service().full_name(), call.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls that a request and an answer can not carry.
    const WITHOUT: [&str; 2] =
        ["sentinel.jobs.v1.IngestService.Ingest", "sentinel.workers.v1.WorkerService.Session"];

    #[test]
    fn every_call_but_those_of_two_streams_has_a_route() {
        let mut without: Vec<String> = Vec::new();
        for service in contract::pool().services() {
            for call in service.methods() {
                if !all().iter().any(|route| route.call == call) {
                    without.push(call.full_name().to_owned());
                }
            }
        }
        without.sort();
        assert_eq!(without, WITHOUT);
    }

    #[test]
    fn fields_of_paths_and_bodies_are_fields_of_the_request() {
        for route in all() {
            let names = route.template.fields().map(str::to_owned);
            let body = match &route.body {
                BodyRule::Field(name) => Some(name.clone()),
                _ => None,
            };
            for name in names.chain(body) {
                let mut message = Some(route.call.input());
                for part in name.split('.') {
                    let field = message.expect("a message").get_field_by_name(part);
                    let kind = field.unwrap_or_else(|| panic!("{}: {name}", route.path)).kind();
                    message = kind.as_message().cloned();
                }
            }
        }
    }

    #[test]
    fn no_two_routes_answer_one_path() {
        for (at, route) in all().iter().enumerate() {
            let path = route.template.text.replace(['{', '}'], "");
            let (found, _) = find(&route.method, &path).expect("its own path");
            assert_eq!(found.path, route.path, "{at}: {path}");
        }
    }
}
