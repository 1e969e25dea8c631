//! Every REST path of the documentation is one that the gateway serves.

use std::path::Path;

use http::Method;
use http_body_util::Full;
use sentinel_gateway::Limits;

use crate::fixture::{TestGateway, read};

const ID: &str = "0198c0de-0000-7000-8000-000000000000";

/// Returns the method and path of every REST call in a page: `GET /v1/jobs` in the text, and the
/// URLs in commands, which are GET when they have no body.
fn calls(page: &str) -> Vec<(Method, String)> {
    let mut calls = Vec::new();
    for line in page.lines() {
        for (at, _) in line.match_indices("/v1/") {
            let before = &line[..at];
            let method = ["GET", "POST", "PATCH", "PUT", "DELETE"]
                .into_iter()
                .find(|method| before.ends_with(&format!("{method} ")));
            let is_url = before.ends_with(":7080") || before.ends_with("jobs.example");
            let path: String = line[at..]
                .chars()
                .take_while(|letter| !letter.is_whitespace() && !"`'\")|<\\".contains(*letter))
                .collect();
            let has_body = line.contains("--json") || line.contains("-d ");
            match method {
                Some(method) => calls.push((method.parse().expect("a method"), path)),
                None if is_url && !has_body && path != "/v1/jobs" => {
                    calls.push((Method::GET, path))
                }
                None => {}
            }
        }
    }
    calls
}

fn with_id(path: &str) -> String {
    let path = path.replace("${id}", ID).replace("{id}", ID).replace("ID", ID);
    path.trim_end_matches(['.', ',']).to_owned()
}

#[tokio::test]
async fn every_rest_call_of_the_pages_is_served() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = std::fs::read_dir(root.join("docs")).unwrap();
    let pages = pages.map(|page| page.unwrap().path()).chain([root.join("README.md")]);
    let pages = pages.filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    let gateway = TestGateway::with_limits(Limits::default()).await;
    let mut checked = 0;
    for page in pages {
        for (method, path) in calls(&std::fs::read_to_string(&page).unwrap()) {
            let path = with_id(&path);
            let request =
                gateway.request(method.clone(), &path).header("accept", "text/event-stream");
            let response = gateway.send(request.body(Full::default()).unwrap()).await;
            let status = response.status();
            checked += 1;
            // A missing job is NOT_FOUND, and a call may need a body; neither is a wrong path.
            if !status.is_success() {
                let (_, text) = read(response).await;
                let is_wrong = ["NO_SUCH_ROUTE", "METHOD_NOT_ALLOWED", "fieldViolations\":[{"];
                let needs_body = !matches!(method, Method::GET | Method::DELETE);
                let is_wrong = is_wrong[..if needs_body { 2 } else { 3 }].iter();
                let wrong = is_wrong.copied().find(|one| text.contains(one));
                assert_eq!(wrong, None, "{}: {method} {path}: {text}", page.display());
            }
        }
    }
    assert!(checked >= 20, "{checked} calls");
}

#[tokio::test]
async fn short_names_of_enums_are_taken_in_queries_and_in_json() {
    let gateway = TestGateway::with_limits(Limits::default()).await;
    for state in ["FAILED", "failed", "Failed", "JOB_STATE_FAILED", "job_state_failed", "6"] {
        let path = format!("/v1/jobs?filter.states={state}");
        let request = gateway.request(Method::GET, &path).body(Full::default()).unwrap();
        let (status, text) = read(gateway.send(request).await).await;
        assert_eq!(status, 200, "{state}: {text}");
    }
    let request = gateway.request(Method::GET, "/v1/jobs?filter.states=FAIL").body(Full::default());
    let (status, text) = read(gateway.send(request.unwrap()).await).await;
    assert_eq!(status, 400);
    assert!(text.contains("JOB_STATE_FAILED"), "{text}");
    for jitter in ["FULL", "full", "JITTER_FULL"] {
        let retry = format!(r#"{{"maxAttempts":3,"jitter":"{jitter}"}}"#);
        let request = gateway
            .request(Method::POST, "/v1/jobs")
            .header("content-type", "application/json")
            .body(Full::from(format!(r#"{{"spec":{{"queue":"q","kind":"k","retry":{retry}}}}}"#)));
        let (status, text) = read(gateway.send(request.unwrap()).await).await;
        assert_eq!(status, 200, "{jitter}: {text}");
    }
}
