//! The comments in the proto files.

use std::collections::HashMap;

use prost_reflect::FileDescriptor;

use crate::rest::descriptors;

/// Comments by file and by path within the descriptor of the file.
pub(super) struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    pub(super) fn read() -> Self {
        let mut all = HashMap::new();
        for file in descriptors::pool().files() {
            let Some(info) = &file.file_descriptor_proto().source_code_info else { continue };
            for location in &info.location {
                if let Some(text) = &location.leading_comments {
                    all.insert((file.name().to_owned(), location.path.clone()), unwrap(text));
                }
            }
        }
        Self(all)
    }

    /// Returns the comment of a descriptor, or an empty string.
    pub(super) fn get(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        self.0.get(&(file.name().to_owned(), path.to_vec())).map_or("", String::as_str)
    }
}

/// Joins the lines of each paragraph. Empty lines between paragraphs stay.
fn unwrap(text: &str) -> String {
    let paragraphs = text.trim().split("\n\n").map(|paragraph| {
        let lines: Vec<_> = paragraph.lines().map(str::trim).collect();
        lines.join(" ")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n").replace("\n \n", "\n\n")
}
