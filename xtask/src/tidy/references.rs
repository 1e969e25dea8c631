//! Pages refer to code as `path/file.rs::name`; the file exists and defines the name.

use super::{
    Problem,
    source::{Source, Tree},
};

/// What a definition starts with.
const KEYWORDS: [&str; 6] = ["fn ", "struct ", "enum ", "trait ", "const ", "type "];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.markdown().flat_map(|page| check_page(tree, page)).collect()
}

fn check_page(tree: &Tree, page: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    for (number, line) in page.text.lines().enumerate() {
        // Every second part between backticks is code.
        for code in line.split('`').skip(1).step_by(2) {
            let Some((path, name)) = code.split_once(".rs::") else { continue };
            let path = format!("{path}.rs");
            let what = match tree.get(&path) {
                None => format!("refers to {path}, which does not exist"),
                Some(source) if !defines(source, name) => {
                    format!("refers to {code}, but {path} does not define {name}")
                }
                Some(_) => continue,
            };
            found.push(Problem::failure(format!("{}:{}", page.path, number + 1), what));
        }
    }
    found
}

fn defines(source: &Source, name: &str) -> bool {
    let is_end = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    KEYWORDS.iter().any(|keyword| {
        let definition = format!("{keyword}{name}");
        let mut found = source.code.match_indices(&definition);
        found.any(|(at, _)| is_end(source.code[at + definition.len()..].chars().next()))
    })
}

#[cfg(test)]
mod tests;
