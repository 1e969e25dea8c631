//! Bans file names that describe no content.

use super::{Problem, source::Tree};

const BANNED: [&str; 9] =
    ["common", "helper", "helpers", "manager", "misc", "stuff", "util", "utils", "utilities"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let ours = tree.paths.iter().filter(|path| !path.contains("/src/gen/"));
    ours.filter_map(|path| {
        let banned = path.split('/').find_map(|part| {
            let stem = part.split('.').next().unwrap_or(part);
            BANNED.iter().find(|name| **name == stem)
        })?;
        Some(Problem::failure(path, format!("is called {banned}; name it after what is in it")))
    })
    .collect()
}

#[cfg(test)]
mod tests;
