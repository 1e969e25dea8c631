//! The fenced blocks of the pages.

use std::fmt;
use std::path::Path;

/// One fenced block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// From the root of the workspace.
    pub(super) page: String,
    /// In the page, from 1.
    pub(super) number: usize,
    line: usize,
    /// The first word after the fence, up to a comma.
    pub(super) language: String,
    pub(super) code: String,
}

impl Block {
    /// Also of the same page in French.
    pub(super) fn is(&self, page: &str, number: usize) -> bool {
        self.number == number && self.page.replace(".fr.md", ".md") == page
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} (block {}, {:?})", self.page, self.line, self.number, self.language)
    }
}

/// What is built or brought by tools, and nobody's page.
const FOREIGN: &[&str] = &["target", "node_modules", "dist", "build"];

/// All pages but the changelog, which shows what was.
pub(super) fn pages(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !name.starts_with('.') && !FOREIGN.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(".md")
                && name != "CHANGELOG.md"
                && !name.contains(".template.")
            {
                let page = path.strip_prefix(root).expect("inside of the workspace");
                found.push(page.display().to_string());
            }
        }
    }
    found.sort();
    found
}

pub(super) fn blocks(root: &Path, page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root.join(page)).expect("a page");
    let mut found: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (at, line) in text.lines().enumerate() {
        if let Some(name) = line.trim_start().strip_prefix("```") {
            if !is_open {
                let language = name.split([',', ' ']).next().unwrap_or_default().to_owned();
                found.push(Block {
                    page: page.to_owned(),
                    number: found.len() + 1,
                    line: at + 1,
                    language,
                    code: String::new(),
                });
            }
            is_open = !is_open;
        } else if let Some(block) = found.last_mut().filter(|_| is_open) {
            block.code.push_str(line);
            block.code.push('\n');
        }
    }
    assert!(!is_open, "{page}: the last block has no end");
    found
}
