//! "Did you mean ...?": the known name closest to a misspelt one.

/// Further away than this it is another word, not a slip.
const MAX_EDITS: usize = 3;

/// The candidate with the fewest edits, if that is few for the length of the word.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .map(|candidate| (edits(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(edits, candidate)| *edits <= MAX_EDITS.min(candidate.len() / 3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements from one text to the other.
fn edits(from: &str, to: &str) -> usize {
    let to = to.as_bytes();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let names = ["listen", "ops_listen", "session_ttl", "ping"];
        let of = |word| nearest(word, names.into_iter());
        assert_eq!(of("lissen"), Some("listen"));
        assert_eq!(of("session-ttl"), Some("session_ttl"));
        assert_eq!(of("sesion_tll"), Some("session_ttl"));
        assert_eq!(of("database"), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
