//! What may be linked in: licences, single versions, banned crates, sources. The rules are
//! in deny.toml, in the form of cargo-deny, so that its advisory check can be run on the
//! same file; this reader needs no install and takes no network.

mod licence;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    Problem,
    arrows::{list, text},
    source::Tree,
};

const FILE: &str = "deny.toml";
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The part of deny.toml that is read here.
#[derive(Debug, Default)]
struct Rules {
    licences: BTreeSet<String>,
    bans: Vec<Ban>,
    /// Crates that may be there in several versions.
    duplicates: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Ban {
    name: String,
    /// Banned is not the crate, only a second version of it.
    versions_only: bool,
    reason: String,
}

pub(super) fn check(tree: &Tree, packages: &Value) -> Vec<Problem> {
    let Some(source) = tree.get(FILE) else {
        return vec![Problem::failure(FILE, "is missing")];
    };
    match Rules::read(&source.text) {
        Ok(rules) => rules.check(packages),
        Err(error) => vec![Problem::failure(FILE, format!("{error:#}"))],
    }
}

impl Rules {
    fn read(content: &str) -> Result<Self> {
        let table: toml::Table = content.parse()?;
        let array = |section: &str, key: &str| -> Result<Vec<toml::Value>> {
            let value = table.get(section).and_then(|section| section.get(key));
            let value = value.with_context(|| format!("[{section}] has no `{key}`"))?;
            value.as_array().cloned().with_context(|| format!("`{section}.{key}` is not a list"))
        };
        let mut rules = Self::default();
        for licence in array("licenses", "allow")? {
            rules.licences.insert(licence.as_str().context("a licence is text")?.to_owned());
        }
        for entry in array("bans", "deny")? {
            rules.bans.push(Ban {
                name: named(&entry, "crate")?,
                versions_only: entry.get("deny-multiple-versions").is_some(),
                reason: named(&entry, "reason")?,
            });
        }
        for entry in array("bans", "skip")? {
            named(&entry, "reason")?;
            rules.duplicates.insert(named(&entry, "crate")?);
        }
        Ok(rules)
    }

    fn check(&self, packages: &Value) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for package in list(&packages["packages"]) {
            let name = text(&package["name"]);
            versions.entry(name).or_default().insert(text(&package["version"]));
            found.extend(self.licence(name, package));
            found.extend(self.banned(name));
            if let Some(origin) = package["source"].as_str().filter(|origin| *origin != CRATES_IO) {
                found.push(Problem::failure(name, format!("comes from {origin}, not crates.io")));
            }
        }
        for (name, versions) in &versions {
            found.extend(self.single(name, versions));
        }
        let stale = self
            .duplicates
            .iter()
            .filter(|name| versions.get(name.as_str()).is_none_or(|versions| versions.len() < 2));
        found.extend(stale.map(|name| {
            Problem::failure(FILE, format!("skips {name}, which is there in one version at most"))
        }));
        found
    }

    fn licence(&self, name: &str, package: &Value) -> Option<Problem> {
        let Some(expression) = package["license"].as_str() else {
            return Some(Problem::failure(name, "declares no licence"));
        };
        match licence::allows(expression, &|licence| self.licences.contains(licence)) {
            Some(true) => None,
            Some(false) => {
                let what = format!("is under {expression}, which deny.toml does not allow");
                Some(Problem::failure(name, what))
            }
            None => {
                Some(Problem::failure(name, format!("has an unreadable licence: {expression}")))
            }
        }
    }

    fn banned(&self, name: &str) -> Option<Problem> {
        let ban = self.bans.iter().find(|ban| ban.name == name && !ban.versions_only)?;
        Some(Problem::failure(name, format!("is banned: {}", ban.reason)))
    }

    fn single(&self, name: &str, versions: &BTreeSet<&str>) -> Option<Problem> {
        if versions.len() < 2 || self.duplicates.contains(name) {
            return None;
        }
        let versions: Vec<&str> = versions.iter().copied().collect();
        let what = format!("is there in versions {}", versions.join(", "));
        let ban = self.bans.iter().find(|ban| ban.name == name && ban.versions_only);
        Some(match ban {
            Some(ban) => Problem::failure(name, format!("{what}: {}", ban.reason)),
            None => Problem::notice(name, what),
        })
    }
}

fn named(entry: &toml::Value, key: &str) -> Result<String> {
    let value = entry.get(key).and_then(toml::Value::as_str);
    Ok(value.with_context(|| format!("an entry has no `{key}`: {entry}"))?.to_owned())
}

#[cfg(test)]
mod tests;
