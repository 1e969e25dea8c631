//! Renders the OpenAPI document as an HTML page. The page has no script, no inline style and no
//! external resource, so it works under the content security policy and without internet access.

use std::fmt::Write as _;

use serde_json::Value;

/// Returns the whole page.
pub(super) fn render(document: &Value) -> String {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Sentinel REST</title><link rel=\"icon\" href=\"data:,\">\
         <link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body><main>\n",
    );
    let info = &document["info"];
    writeln!(out, "<h1>{} {}</h1>", text(&info["title"]), text(&info["version"]))
        .expect(INFALLIBLE);
    out.push_str("<p>OpenAPI document: <a href=\"/openapi.json\">/openapi.json</a></p>\n");
    paragraphs(&mut out, &info["description"]);
    let calls = operations(document);
    contents(&mut out, &calls);
    for tag in list(&document["tags"]) {
        writeln!(out, "<section><h2>{}</h2>", text(&tag["name"])).expect(INFALLIBLE);
        paragraphs(&mut out, &tag["description"]);
        for call in calls.iter().filter(|call| call.operation["tags"][0] == tag["name"]) {
            operation(&mut out, call);
        }
        out.push_str("</section>\n");
    }
    out.push_str("<section><h2>Schemas</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        self::schema(&mut out, name, schema);
    }
    out.push_str("</section></main></body></html>\n");
    out
}

const INFALLIBLE: &str = "writing to a String does not fail";

struct Call<'a> {
    method: String,
    path: &'a str,
    operation: &'a Value,
}

fn operations(document: &Value) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            calls.push(Call { method: method.to_ascii_uppercase(), path, operation });
        }
    }
    calls
}

fn contents(out: &mut String, calls: &[Call<'_>]) {
    out.push_str("<nav aria-label=\"Calls\"><ul>\n");
    for Call { method, path, operation } in calls {
        let id = text(&operation["operationId"]);
        writeln!(out, "<li><a href=\"#{id}\"><code>{method} {}</code></a></li>", escape(path))
            .expect(INFALLIBLE);
    }
    out.push_str("</ul></nav>\n");
}

fn operation(out: &mut String, Call { method, path, operation }: &Call<'_>) {
    let id = text(&operation["operationId"]);
    writeln!(out, "<h3 id=\"{id}\"><code>{method} {}</code></h3>", escape(path)).expect(INFALLIBLE);
    paragraphs(out, &operation["description"]);
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        out.push_str(
            "<table><tr><th>Parameter</th><th>In</th><th>Type</th><th>Description</th></tr>\n",
        );
        for one in parameters {
            row(
                out,
                &[
                    &code(&one["name"]),
                    &text(&one["in"]),
                    &type_of(&one["schema"]),
                    &text(&one["description"]),
                ],
            );
        }
        out.push_str("</table>\n");
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        writeln!(out, "<p>Request body: {}</p>", type_of(body)).expect(INFALLIBLE);
    }
    let content = &operation["responses"]["200"]["content"];
    let stream = &content["application/x-ndjson"]["x-item-schema"];
    if stream.is_null() {
        let response = &content["application/json"]["schema"];
        writeln!(out, "<p>Response: {}</p>", type_of(response)).expect(INFALLIBLE);
    } else {
        writeln!(out, "<p>Stream of responses: {}</p>", type_of(stream)).expect(INFALLIBLE);
    }
    writeln!(out, "<pre>{}</pre>", escape(&curl(method, path, !body.is_null(), !stream.is_null())))
        .expect(INFALLIBLE);
}

fn curl(method: &str, path: &str, has_body: bool, is_stream: bool) -> String {
    let unbuffered = if is_stream { " -N" } else { "" };
    let method = match (method, has_body) {
        ("GET", _) | ("POST", true) => String::new(),
        _ => format!(" -X {method}"),
    };
    let body = if has_body { " --json '{}'" } else { "" };
    let path = path.replace('{', "<").replace('}', ">");
    format!("curl{unbuffered}{method} 'http://127.0.0.1:7080{path}'{body}")
}

fn schema(out: &mut String, name: &str, schema: &Value) {
    writeln!(out, "<h3 id=\"schema-{0}\"><code>{0}</code></h3>", escape(name)).expect(INFALLIBLE);
    paragraphs(out, &schema["description"]);
    let properties = schema["properties"].as_object();
    if let Some(properties) = properties.filter(|properties| !properties.is_empty()) {
        out.push_str("<table><tr><th>Field</th><th>Type</th><th>Description</th></tr>\n");
        for (name, one) in properties {
            let name = format!("<code>{}</code>", escape(name));
            row(out, &[&name, &type_of(one), &text(&one["description"])]);
        }
        out.push_str("</table>\n");
    }
}

/// Returns the name of a type, linked to its schema when it has one.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map from string to {}", type_of(&schema["additionalProperties"]))
        }
        Some("object") => {
            let names = schema["properties"].as_object().into_iter().flatten();
            let names: Vec<_> = names
                .map(|(name, one)| format!("<code>{}</code>: {}", escape(name), type_of(one)))
                .collect();
            format!("object with {}", names.join(", "))
        }
        Some(name) => match schema["format"].as_str() {
            Some(format) => format!("{name} ({})", escape(format)),
            None => name.to_owned(),
        },
        None => "any JSON".to_owned(),
    }
}

fn row(out: &mut String, cells: &[&str]) {
    out.push_str("<tr>");
    for cell in cells {
        write!(out, "<td>{cell}</td>").expect(INFALLIBLE);
    }
    out.push_str("</tr>\n");
}

fn paragraphs(out: &mut String, value: &Value) {
    for paragraph in value.as_str().unwrap_or_default().split("\n\n").filter(|one| !one.is_empty())
    {
        writeln!(out, "<p>{}</p>", escape(paragraph.trim())).expect(INFALLIBLE);
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn code(value: &Value) -> String {
    format!("<code>{}</code>", text(value))
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
