//! The document covers every route, and only routes and schemas that exist.

use serde_json::Value;

use super::*;

#[test]
fn every_route_has_an_operation_with_a_unique_id_and_a_summary() {
    let mut names = Vec::new();
    for route in routes::all() {
        let method = route.method.as_str().to_ascii_lowercase();
        let operation = &DOCUMENT["paths"][&route.template.openapi_path()][method];
        let name = operation["operationId"].as_str().expect(&route.path).to_owned();
        assert!(!names.contains(&name), "{name} is not unique");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name} has no comment");
        names.push(name);
    }
    assert!(names.len() > 30, "{names:?}");
}

#[test]
fn every_reference_resolves_and_every_schema_is_used() {
    let mut found = Vec::new();
    references(&DOCUMENT, &mut found);
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    for reference in &found {
        let path = reference.strip_prefix('#').unwrap();
        assert!(DOCUMENT.pointer(path).is_some_and(Value::is_object), "{reference}");
    }
    for name in schemas.keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(found.contains(&reference), "no operation uses {name}");
    }
}

#[test]
fn the_page_has_no_script_no_inline_style_and_no_external_resource() {
    let page = std::str::from_utf8(&PAGE).unwrap();
    for forbidden in ["<script", "<style", " style=", "src=", "//cdn", "onclick"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("POST /v1/jobs/{id}:cancel"));
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(path) if name == "$ref" => found.push(path.to_owned()),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
