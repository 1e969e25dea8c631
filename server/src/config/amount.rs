//! Amounts with their unit as people write them: `15s`, `500ms`, `1MiB`. One reader and
//! one writer for the file, the environment, the flags and the client verbs.

use std::time::Duration;

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAmount {
    /// There is no digit in front.
    #[error("expected a number and a unit, such as {example}")]
    NoNumber {
        /// How it looks when right.
        example: &'static str,
    },
    /// The unit is missing or unknown.
    #[error("expected one of the units {units}, as in {example}")]
    NoUnit {
        /// The units there are.
        units: &'static str,
        /// How it looks when right.
        example: &'static str,
    },
    /// It does not fit into 64 bits.
    #[error("the number is too large")]
    TooLarge,
}

const SPAN_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const BYTE_UNITS: &[(&str, u64)] =
    &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a duration of whole milliseconds: `500ms`, `15s`, `10m`, `2h`, `30d`.
pub fn parse_span(text: &str) -> Result<Duration, NotAnAmount> {
    let example = "15s";
    let (number, unit) = split(text, example)?;
    // A bare 0 needs no unit: it is the same in all of them.
    if number == 0 && unit.is_empty() {
        return Ok(Duration::ZERO);
    }
    let no_unit = NotAnAmount::NoUnit { units: "ms, s, m, h, d", example };
    scale(number, unit, SPAN_UNITS, no_unit).map(Duration::from_millis)
}

/// Reads a size in bytes: `1MiB`, `64KiB`, `512B`, or a bare number of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, NotAnAmount> {
    let example = "1MiB";
    let (number, unit) = split(text, example)?;
    if unit.is_empty() {
        return Ok(number);
    }
    let no_unit = NotAnAmount::NoUnit { units: "B, KiB, MiB, GiB, TiB", example };
    scale(number, unit, BYTE_UNITS, no_unit)
}

/// Writes a duration in the largest unit that leaves no remainder.
pub fn show_span(span: Duration) -> String {
    show(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), SPAN_UNITS, "0s")
}

/// Writes a size in the largest unit that leaves no remainder.
pub fn show_bytes(bytes: u64) -> String {
    show(bytes, BYTE_UNITS, "0B")
}

fn split<'a>(text: &'a str, example: &'static str) -> Result<(u64, &'a str), NotAnAmount> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(NotAnAmount::NoNumber { example });
    }
    let number = text[..digits].parse().map_err(|_| NotAnAmount::TooLarge)?;
    Ok((number, text[digits..].trim_start()))
}

fn scale(
    number: u64,
    unit: &str,
    units: &[(&str, u64)],
    no_unit: NotAnAmount,
) -> Result<u64, NotAnAmount> {
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or(no_unit)?;
    number.checked_mul(*factor).ok_or(NotAnAmount::TooLarge)
}

fn show(amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    units
        .iter()
        .find(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor))
        .map_or_else(|| zero.to_owned(), |(unit, factor)| format!("{}{unit}", amount / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_they_are_written() {
        for text in ["500ms", "15s", "10m", "2h", "30d", "0s"] {
            assert_eq!(show_span(parse_span(text).expect(text)), text);
        }
        for text in ["1B", "64KiB", "1MiB", "4GiB", "2TiB", "0B"] {
            assert_eq!(show_bytes(parse_bytes(text).expect(text)), text);
        }
        assert_eq!(parse_span("90 s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_bytes("2048"), Ok(2048));
    }

    #[test]
    fn bad_amounts_say_what_is_missing() {
        assert!(parse_span("15").unwrap_err().to_string().contains("ms, s, m, h, d"));
        assert!(parse_span("soon").unwrap_err().to_string().contains("15s"));
        assert!(parse_span("-1s").is_err());
        assert!(parse_bytes("1MB").unwrap_err().to_string().contains("MiB"));
        assert_eq!(parse_bytes("99999999999TiB"), Err(NotAnAmount::TooLarge));
    }
}
