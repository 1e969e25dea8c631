//! Limits for the lines of a file, the lines of a function and its parameters. A size close to its
//! limit is printed as a notice.

use super::{
    Problem,
    source::{Source, Tree, find_all},
};

const FILE_LINES_LIMIT: usize = 800;
const FILE_LINES_NOTICE: usize = 500;
const FUNCTION_LINES_LIMIT: usize = 100;
const FUNCTION_LINES_NOTICE: usize = 70;
const PARAMETERS_NOTICE: usize = 5;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.rust()
        .flat_map(|source| {
            let mut found: Vec<Problem> = file(source).into_iter().collect();
            for function in functions(source) {
                found.extend(length(source, &function));
                found.extend(parameters(source, &function));
            }
            found
        })
        .collect()
}

fn file(source: &Source) -> Option<Problem> {
    let lines = source.text.lines().count();
    if lines > FILE_LINES_LIMIT {
        let what = format!("{lines} lines; no file is over {FILE_LINES_LIMIT}");
        return Some(Problem::failure(&source.path, what));
    }
    (lines > FILE_LINES_NOTICE).then(|| Problem::notice(&source.path, format!("{lines} lines")))
}

fn length(source: &Source, function: &Function<'_>) -> Option<Problem> {
    let what = format!("fn {} has {} lines", function.name, function.lines);
    if function.lines > FUNCTION_LINES_LIMIT {
        let what = format!("{what}; no function is over {FUNCTION_LINES_LIMIT}");
        return Some(Problem::failure(source.place(function.start), what));
    }
    let long = function.lines > FUNCTION_LINES_NOTICE;
    long.then(|| Problem::notice(source.place(function.start), what))
}

fn parameters(source: &Source, function: &Function<'_>) -> Option<Problem> {
    let many = function.parameters > PARAMETERS_NOTICE;
    let what = format!("fn {} takes {} parameters", function.name, function.parameters);
    many.then(|| Problem::notice(source.place(function.start), what))
}

#[derive(Debug, PartialEq, Eq)]
struct Function<'a> {
    name: &'a str,
    start: usize,
    /// From the line of `fn` to the closing brace.
    lines: usize,
    /// Without `self`.
    parameters: usize,
}

/// Every function with a body.
fn functions(source: &Source) -> Vec<Function<'_>> {
    let starts = find_all(&source.code, "fn ");
    starts.into_iter().filter_map(|start| function(source, start)).collect()
}

fn function(source: &Source, start: usize) -> Option<Function<'_>> {
    let code = source.code.as_str();
    let after = &code[start + 3..];
    let name = &after[..after.find(|c: char| !c.is_alphanumeric() && c != '_')?];
    if name.is_empty() {
        return None; // the type `fn(..)` or a `Fn(..)` bound
    }
    let open = start + 3 + after.find('(')?;
    let close = matching(code, open)?;
    // A body's brace comes before the semicolon that ends a declaration.
    let body = close + code[close..].find(['{', ';'])?;
    if code.as_bytes()[body] == b';' {
        return None;
    }
    let end = matching(code, body)?;
    let lines = source.line_of(end) - source.line_of(start) + 1;
    Some(Function { name, start, lines, parameters: count(&code[open + 1..close]) })
}

/// Where the bracket that opens at `open` closes.
fn matching(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Parameters are the type colons outside of any bracket; `::` is a path, `self` has none.
fn count(list: &str) -> usize {
    let (mut depth, mut count) = (0_i32, 0);
    let bytes = list.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        match byte {
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'>' if before != Some(b'-') => depth -= 1,
            b':' if depth == 0 && before != Some(b':') && bytes.get(at + 1) != Some(&b':') => {
                count += 1;
            }
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests;
