//! Reads the fenced code blocks of the documentation pages.

use std::fmt;
use std::path::Path;

/// A fenced code block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The path relative to the workspace root.
    pub(super) page: String,
    /// The position in the page, from 1.
    pub(super) number: usize,
    line: usize,
    /// The first word after the fence, up to a comma.
    pub(super) language: String,
    pub(super) code: String,
}

impl Block {
    /// Returns whether this is the numbered block of a page or of its French translation.
    pub(super) fn is(&self, page: &str, number: usize) -> bool {
        self.number == number && self.page.replace(".fr.md", ".md") == page
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} (block {}, {:?})", self.page, self.line, self.number, self.language)
    }
}

/// Directories of build output and dependencies.
const EXCLUDED: &[&str] = &["target", "node_modules", "dist", "build"];

/// Returns all pages except the changelog, which describes former versions.
pub(super) fn pages(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a directory").filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !name.starts_with('.') && !EXCLUDED.contains(&name.as_str()) {
                    dirs.push(path);
                }
            } else if name.ends_with(".md")
                && name != "CHANGELOG.md"
                && !name.contains(".template.")
            {
                let page = path.strip_prefix(root).expect("a path in the workspace");
                found.push(page.display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// Returns the blocks of a page.
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
    assert!(!is_open, "{page}: the last block is not closed");
    found
}
