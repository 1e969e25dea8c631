//! Suggests a known name for a misspelt one.

use strsim::levenshtein;

/// Names with more edits than this are not suggested.
const MAX_EDITS: usize = 3;

/// Returns the candidate with the fewest edits, if there are few compared to its length.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .map(|candidate| (levenshtein(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(edits, candidate)| *edits <= MAX_EDITS.min(candidate.len() / 3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_name_is_suggested() {
        let names = ["listen", "ops_listen", "session_ttl", "ping"];
        let of = |word| closest(word, names.into_iter());
        assert_eq!(of("lissen"), Some("listen"));
        assert_eq!(of("session-ttl"), Some("session_ttl"));
        assert_eq!(of("sesion_tll"), Some("session_ttl"));
        assert_eq!(of("database"), None);
    }
}
