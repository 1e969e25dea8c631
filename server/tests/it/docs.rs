//! Runs or checks every fenced code block of every documentation page. A block without a rule and a
//! rule without a block fail the test.
//!
//! The language selects the default rule: `sh` blocks of a page run in one directory against one
//! server, `toml` must be valid server settings, `json` must be valid JSON, `text` and `mermaid`
//! are only displayed. `page.fr.md` follows the rules of `page.md`. [`RULES`] has all exceptions.

mod page;
mod program;
mod shell;

use crate::languages::program::root;
use page::{Block, blocks, pages};
use shell::ShellSession;

/// How a block is tested.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// A diagram, or code of another product: not tested.
    DisplayOnly,
    /// Runs the commands.
    Run,
    /// Runs the commands, whose output contains this text.
    RunWithOutput(&'static str),
    /// Cannot run here: only parses the shell syntax and the flags of our binaries.
    ParseOnly,
    /// Runs a program against a server to its end; it prints this text.
    Program(&'static str),
    /// A fragment that uses a client; it prints a line for a terminal job.
    Fragment,
    /// A worker for the queue `tasks`: it runs a job of this kind and returns its JSON payload.
    Worker(&'static str, &'static str),
    /// Part of a web page: in a browser, its progress bar follows the job.
    ProgressBar,
    /// A documentation test of the crate.
    Doctest,
    /// Server settings.
    Settings,
    Json,
}

/// The page, the number of the block in it from 1, and its rule.
const RULES: &[(&str, usize, Rule)] = &[
    // These commands never exit, or run this test.
    ("README.md", 1, Rule::ParseOnly),
    ("README.md", 3, Rule::RunWithOutput("\"payload\":{\"image\": 7}")),
    ("README.md", 5, Rule::ParseOnly),
    ("client-sdk/README.md", 1, Rule::Doctest),
    ("client-sdk/README.md", 2, Rule::Doctest),
    ("client-sdk/node/README.md", 1, Rule::Program("hello Ada\n")),
    ("client-sdk/node/README.md", 2, Rule::Fragment),
    ("client-sdk/node/README.md", 3, Rule::Program("409600\n")),
    // The tests of the package compile it and run a similar project.
    ("client-sdk/nestjs/README.md", 1, Rule::DisplayOnly),
    ("client-sdk/python/README.md", 1, Rule::Program("hello Ada\n")),
    ("client-sdk/python/README.md", 2, Rule::Program("True\n")),
    ("client-sdk/python/README.md", 3, Rule::Program("[64, 32]\n")),
    ("client-sdk/python/README.md", 4, Rule::Fragment),
    // Runs on another machine.
    ("docs/browser.md", 1, Rule::ParseOnly),
    ("docs/browser.md", 2, Rule::ProgressBar),
    ("docs/browser.md", 3, Rule::ProgressBar),
    // The same value as in the worker's test.
    (
        "docs/handlers.md",
        2,
        Rule::RunWithOutput("9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23"),
    ),
    // Builds from source, and starts programs at fixed addresses.
    ("docs/installation.md", 1, Rule::ParseOnly),
    ("docs/installation.md", 2, Rule::ParseOnly),
    ("docs/installation.md", 3, Rule::ParseOnly),
    ("docs/migrating.md", 1, Rule::RunWithOutput("succeeded")),
    ("docs/migrating.md", 2, Rule::Program("\"status\":201")),
    ("docs/migrating.md", 3, Rule::Worker("image.resize", "{\"width\":640}")),
    // These commands stop services and connect to databases.
    ("docs/operations.md", 1, Rule::ParseOnly),
    ("docs/operations.md", 4, Rule::ParseOnly),
    // Runs a server that does not exit, and needs certificates.
    ("docs/security.md", 3, Rule::ParseOnly),
    ("docs/tutorial.md", 4, Rule::Worker("greet", "{\"name\":\"Ada\"}")),
];

/// Replacements before a block is run: page, number of the block, original text, replacement. `ID`
/// stands for the last printed id, `ENDPOINT` for the test's HTTP endpoint and `GATEWAY` for the
/// address of a gateway.
const REPLACEMENTS: &[(&str, usize, &str, &str)] = &[
    ("README.md", 2, "target/debug/", ""),
    ("docs/browser.md", 2, "https://jobs.example", "GATEWAY"),
    ("docs/browser.md", 3, "https://jobs.example", "GATEWAY"),
    ("docs/handlers.md", 2, "$timestamp", "1700000000"),
    ("docs/handlers.md", 2, "\"$body\"", "'{\"a\":1}'"),
    ("docs/handlers.md", 2, "$secret", "0123456789abcdef"),
    ("docs/handlers.md", 3, "/usr/local/bin/resize", "/bin/cat"),
    ("docs/migrating.md", 1, "api.internal:3000/images/7/resize", "ENDPOINT/echo"),
    ("docs/migrating.md", 1, "api.internal", "127.0.0.1"),
    ("docs/migrating.md", 2, "api.internal:3000/images/7/resize", "ENDPOINT/echo"),
    ("docs/operations.md", 2, "/var/lib/sentinel", "data"),
    ("docs/operations.md", 2, "/mnt/backup/", ""),
    ("docs/operations.md", 3, "/var/lib/sentinel", "here"),
    ("docs/operations.md", 3, "/mnt/backup/", ""),
    ("docs/security.md", 1, "/var/lib/sentinel", "here"),
    ("docs/security.md", 1, "0.0.0.0:7070", "127.0.0.1:0"),
    ("docs/security.md", 2, "0f3a5c7e9b1d2f40", "ID"),
];

fn rule_of(block: &Block) -> Option<Rule> {
    let mut rows = RULES.iter();
    let row = rows.find(|(page, number, _)| block.is(page, *number));
    if let Some((_, _, rule)) = row {
        return Some(*rule);
    }
    match block.language.as_str() {
        "sh" => Some(Rule::Run),
        "text" | "mermaid" => Some(Rule::DisplayOnly),
        "toml" => Some(Rule::Settings),
        "json" => Some(Rule::Json),
        _ => None,
    }
}

/// Returns all blocks with their replacements applied.
fn all_blocks() -> Vec<Block> {
    let mut all: Vec<Block> = pages(root()).iter().flat_map(|page| blocks(root(), page)).collect();
    for block in &mut all {
        for (page, number, from, to) in REPLACEMENTS {
            if block.is(page, *number) {
                assert!(block.code.contains(from), "{block} does not contain {from:?}");
                block.code = block.code.replace(from, to);
            }
        }
    }
    all
}

#[test]
fn every_block_of_every_page_has_a_rule() {
    let all = all_blocks();
    assert!(all.len() >= RULES.len(), "no documentation pages found: {all:?}");
    let without_rule: Vec<String> = all
        .iter()
        .filter(|block| rule_of(block).is_none())
        .map(|block| {
            format!("{block}: set its language, or add a rule for it to server/tests/it/docs.rs")
        })
        .collect();
    assert!(without_rule.is_empty(), "{without_rule:#?}");
    let rows = RULES.iter().map(|(page, number, _)| (*page, *number));
    for (page, number) in rows.chain(REPLACEMENTS.iter().map(|(page, number, ..)| (*page, *number)))
    {
        let exists = all.iter().any(|block| block.page == page && block.number == number);
        assert!(exists, "{page} has no block {number}, but docs.rs has a rule for it");
    }
    for block in all.iter().filter(|block| matches!(rule_of(block), Some(Rule::Doctest))) {
        let crate_root = root().join(&block.page).with_file_name("src/lib.rs");
        let code = std::fs::read_to_string(crate_root).unwrap_or_default();
        assert!(
            code.contains("include_str!(\"../README.md\")"),
            "{block} is not a documentation test"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documented_commands_and_settings_work() {
    let mut sessions: Vec<(String, ShellSession)> = Vec::new();
    for block in all_blocks() {
        match rule_of(&block).unwrap_or(Rule::DisplayOnly) {
            Rule::Run => session(&mut sessions, &block).await.run(&block, "").await,
            Rule::RunWithOutput(expected) => {
                session(&mut sessions, &block).await.run(&block, expected).await
            }
            Rule::ParseOnly => shell::parse(&block).await,
            Rule::Settings => shell::settings(&block).await,
            Rule::Json => {
                let value: Result<serde_json::Value, _> = serde_json::from_str(&block.code);
                assert!(value.is_ok(), "{block}: {value:?}");
            }
            _ => {}
        }
    }
    for (_, session) in sessions {
        session.finish().await;
    }
}

/// Returns the shell session of the block's page.
async fn session<'a>(
    sessions: &'a mut Vec<(String, ShellSession)>,
    block: &Block,
) -> &'a mut ShellSession {
    if sessions.last().is_none_or(|(page, _)| *page != block.page) {
        sessions.push((block.page.clone(), ShellSession::start().await));
    }
    &mut sessions.last_mut().expect("a session").1
}

/// Runs the programs in these languages.
async fn run_programs(languages: &[&str], project: &program::Project) {
    let fixture = program::DocsFixture::start().await;
    for block in all_blocks() {
        if !languages.contains(&block.language.as_str()) {
            continue;
        }
        match rule_of(&block) {
            Some(Rule::Program(expected)) => {
                let out = project.run(&fixture, &block).await;
                assert!(out.contains(expected), "{block}: {out}");
            }
            Some(Rule::Fragment) => project.run_fragment(&fixture, &block).await,
            Some(Rule::Worker(kind, json)) => {
                project.run_worker(&fixture, &block, kind, json).await
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn documented_web_pages_show_a_progress_bar_in_a_browser() {
    let blocks =
        all_blocks().into_iter().filter(|block| matches!(rule_of(block), Some(Rule::ProgressBar)));
    for block in blocks {
        let output = program::run_in_browser(&block).await;
        assert!(output.contains("the bar moved"), "{block}: {output}");
    }
}

#[tokio::test]
async fn documented_node_programs_run_with_the_packed_package() {
    run_programs(&["js", "ts"], &program::Project::node().await).await;
}

#[tokio::test]
async fn documented_python_programs_run_with_the_wheel() {
    run_programs(&["python"], &program::Project::python().await).await;
}
