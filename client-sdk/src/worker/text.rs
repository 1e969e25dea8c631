//! Text within the limits of the protocol, cut at a character.

/// Truncates at a character boundary.
pub(crate) fn truncate(mut text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        text.truncate(floor_char_boundary(&text, max_bytes));
    }
    text
}

/// The last character boundary at or before `index`.
pub(crate) fn floor_char_boundary(text: &str, index: usize) -> usize {
    if index >= text.len() {
        return text.len();
    }
    (0..=index).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    //! Cuts within a character.

    use super::*;

    #[test]
    fn messages_are_truncated_at_a_character_boundary() {
        assert_eq!(truncate("aé".to_owned(), 2), "a");
        assert_eq!(truncate("aé".to_owned(), 3), "aé");
    }
}
