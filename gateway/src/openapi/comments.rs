//! The comments of the contract, by the place of what they are about.

use std::collections::HashMap;

use prost_reflect::FileDescriptor;

use crate::rest::contract;

/// By the file and the path within its descriptor.
pub(super) struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    pub(super) fn read() -> Self {
        let mut all = HashMap::new();
        for file in contract::pool().files() {
            let Some(info) = &file.file_descriptor_proto().source_code_info else { continue };
            for place in &info.location {
                if let Some(text) = &place.leading_comments {
                    all.insert((file.name().to_owned(), place.path.clone()), plain(text));
                }
            }
        }
        Self(all)
    }

    /// Empty where there is none.
    pub(super) fn of(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        self.0.get(&(file.name().to_owned(), path.to_vec())).map_or("", String::as_str)
    }
}

/// Lines become one paragraph; empty lines stay between paragraphs.
fn plain(text: &str) -> String {
    let paragraphs = text.trim().split("\n\n").map(|paragraph| {
        let lines: Vec<_> = paragraph.lines().map(str::trim).collect();
        lines.join(" ")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n").replace("\n \n", "\n\n")
}
