//! Every fenced block of every page is run, or checked as far as it can be. A block that no rule
//! and no row knows fails; so does a row without its block.
//!
//! By the name of its language: `sh` is run, all blocks of a page in one directory against one
//! server; `toml` is read as settings of the server; `json` must be JSON; `text` and `mermaid` are
//! pictures. `page.fr.md` is claimed as `page.md` is. All else has a row in [`ROWS`].

mod page;
mod program;
mod shell;

use crate::languages::program::root;
use page::{Block, blocks, pages};
use shell::Session;

/// What is done with a block.
#[derive(Clone, Copy, Debug)]
enum Use {
    /// A picture, or code of another product.
    Shown,
    /// Its commands are run.
    Run,
    /// They are run, and say this.
    Says(&'static str),
    /// It can not be run here: the shell reads it, and our programs read their flags.
    Read,
    /// A program against a server; it ends, and prints this.
    Prints(&'static str),
    /// A piece of a program that has a client; it prints a line for a job that ends.
    Piece,
    /// A worker for the queue `tasks`: it takes a job of this kind with this JSON and answers it.
    Works(&'static str, &'static str),
    /// A piece of a web page: in a browser, its bar moves with the job.
    Bar,
    /// A documentation test of the crate.
    Doctest,
    /// Settings of the server.
    Settings,
    Json,
}

/// Page, number of the block in it from 1, and what is done with it.
const ROWS: &[(&str, usize, Use)] = &[
    // They never end, or run this test.
    ("README.md", 1, Use::Read),
    ("README.md", 3, Use::Says("\"payload\":{\"image\": 7}")),
    ("README.md", 5, Use::Read),
    ("client-sdk/README.md", 1, Use::Doctest),
    ("client-sdk/README.md", 2, Use::Doctest),
    ("client-sdk/node/README.md", 1, Use::Prints("hello Ada\n")),
    ("client-sdk/node/README.md", 2, Use::Piece),
    ("client-sdk/python/README.md", 1, Use::Prints("hello Ada\n")),
    ("client-sdk/python/README.md", 2, Use::Piece),
    // Another machine.
    ("docs/browser.md", 1, Use::Read),
    ("docs/browser.md", 2, Use::Bar),
    ("docs/browser.md", 3, Use::Bar),
    // As the test of the worker expects it.
    (
        "docs/handlers.md",
        2,
        Use::Says("9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23"),
    ),
    ("docs/migrating.md", 1, Use::Says("succeeded")),
    ("docs/migrating.md", 2, Use::Prints("\"status\":201")),
    ("docs/migrating.md", 3, Use::Works("image.resize", "{\"width\":640}")),
    // They stop services and reach databases.
    ("docs/operations.md", 1, Use::Read),
    ("docs/operations.md", 4, Use::Read),
    // Other machines and their certificates.
    ("docs/security.md", 3, Use::Read),
    // A server that does not end, and certificates.
    ("docs/security.md", 3, Use::Read),
];

/// What is other here than where a page is read: page, number of the block, what it says, what is
/// run. `ID` is the id that was printed last, `ENDPOINT` an HTTP endpoint that answers, `GATEWAY`
/// the address of a gateway.
const CHANGES: &[(&str, usize, &str, &str)] = &[
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

fn use_of(block: &Block) -> Option<Use> {
    let mut rows = ROWS.iter();
    let row = rows.find(|(page, number, _)| block.is(page, *number));
    if let Some((_, _, claim)) = row {
        return Some(*claim);
    }
    match block.language.as_str() {
        "sh" => Some(Use::Run),
        "text" | "mermaid" => Some(Use::Shown),
        "toml" => Some(Use::Settings),
        "json" => Some(Use::Json),
        _ => None,
    }
}

/// All blocks, as they are run here.
fn all() -> Vec<Block> {
    let mut all: Vec<Block> = pages(root()).iter().flat_map(|page| blocks(root(), page)).collect();
    for block in &mut all {
        for (page, number, from, to) in CHANGES {
            if block.is(page, *number) {
                assert!(block.code.contains(from), "{block} does not have {from:?}");
                block.code = block.code.replace(from, to);
            }
        }
    }
    all
}

#[test]
fn every_block_of_every_page_is_claimed() {
    let all = all();
    assert!(all.len() >= ROWS.len(), "the pages are not found: {all:?}");
    let unclaimed: Vec<String> = all
        .iter()
        .filter(|block| use_of(block).is_none())
        .map(|block| {
            format!("{block}: name its language, or give it a row in server/tests/it/docs.rs")
        })
        .collect();
    assert!(unclaimed.is_empty(), "{unclaimed:#?}");
    let rows = ROWS.iter().map(|(page, number, _)| (*page, *number));
    for (page, number) in rows.chain(CHANGES.iter().map(|(page, number, ..)| (*page, *number))) {
        let is_there = all.iter().any(|block| block.page == page && block.number == number);
        assert!(is_there, "{page} has no block {number}, which has a row");
    }
    for block in all.iter().filter(|block| matches!(use_of(block), Some(Use::Doctest))) {
        let crate_of = root().join(&block.page).with_file_name("src/lib.rs");
        let code = std::fs::read_to_string(crate_of).unwrap_or_default();
        assert!(
            code.contains("include_str!(\"../README.md\")"),
            "{block} is no documentation test"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_settings_of_the_pages_do_what_they_say() {
    let mut sessions: Vec<(String, Session)> = Vec::new();
    for block in all() {
        match use_of(&block).unwrap_or(Use::Shown) {
            Use::Run => session(&mut sessions, &block).await.run(&block, "").await,
            Use::Says(says) => session(&mut sessions, &block).await.run(&block, says).await,
            Use::Read => shell::read(&block).await,
            Use::Settings => shell::settings(&block).await,
            Use::Json => {
                let value: Result<serde_json::Value, _> = serde_json::from_str(&block.code);
                assert!(value.is_ok(), "{block}: {value:?}");
            }
            _ => {}
        }
    }
    for (_, session) in sessions {
        session.end().await;
    }
}

/// That of the page, in which its blocks are run one after another.
async fn session<'a>(sessions: &'a mut Vec<(String, Session)>, block: &Block) -> &'a mut Session {
    if sessions.last().is_none_or(|(page, _)| *page != block.page) {
        sessions.push((block.page.clone(), Session::start().await));
    }
    &mut sessions.last_mut().expect("one has begun").1
}

/// Runs what is claimed of the blocks in some languages.
async fn programs(languages: &[&str], project: &program::Project) {
    let stage = program::Stage::start().await;
    for block in all() {
        if !languages.contains(&block.language.as_str()) {
            continue;
        }
        match use_of(&block) {
            Some(Use::Prints(expected)) => {
                let out = project.run(&stage, &block).await;
                assert!(out.contains(expected), "{block}: {out}");
            }
            Some(Use::Piece) => project.run_piece(&stage, &block).await,
            Some(Use::Works(kind, json)) => project.run_worker(&stage, &block, kind, json).await,
            _ => {}
        }
    }
}

#[tokio::test]
async fn pages_of_others_show_a_bar_in_a_browser() {
    let bars = all().into_iter().filter(|block| matches!(use_of(block), Some(Use::Bar)));
    for block in bars {
        let said = program::run_in_browser(&block).await;
        assert!(said.contains("the bar moved"), "{block}: {said}");
    }
}

#[tokio::test]
async fn programs_for_node_run_with_the_packed_package() {
    programs(&["js", "ts"], &program::Project::node().await).await;
}

#[tokio::test]
async fn programs_for_python_run_with_the_wheel() {
    programs(&["python"], &program::Project::python().await).await;
}
