//! Durations and sizes with their unit: `15s`, `500ms`, `1MiB`. The configuration file, the
//! environment, the flags and the client commands share this parser and formatter.

use std::time::Duration;

/// Why a text is not a duration or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text does not start with a digit.
    #[error("expected a number and a unit, such as {example}")]
    NoNumber {
        /// A valid value.
        example: &'static str,
    },
    /// The unit is missing or unknown.
    #[error("expected one of the units {units}, as in {example}")]
    NoUnit {
        /// The known units.
        units: &'static str,
        /// A valid value.
        example: &'static str,
    },
    /// The value does not fit into 64 bits.
    #[error("the number is too large")]
    TooLarge,
}

const DURATION_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const BYTE_UNITS: &[(&str, u64)] =
    &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Parses a duration in whole milliseconds: `500ms`, `15s`, `10m`, `2h`, `30d`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let example = "15s";
    let (number, unit) = split(text, example)?;
    // 0 is the same in every unit.
    if number == 0 && unit.is_empty() {
        return Ok(Duration::ZERO);
    }
    let no_unit = UnitError::NoUnit { units: "ms, s, m, h, d", example };
    scale(number, unit, DURATION_UNITS, no_unit).map(Duration::from_millis)
}

/// Parses a size: `1MiB`, `64KiB`, `512B`, or a plain number of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let example = "1MiB";
    let (number, unit) = split(text, example)?;
    if unit.is_empty() {
        return Ok(number);
    }
    let no_unit = UnitError::NoUnit { units: "B, KiB, MiB, GiB, TiB", example };
    scale(number, unit, BYTE_UNITS, no_unit)
}

/// Formats a duration in the largest unit that leaves no remainder.
pub fn format_duration(duration: Duration) -> String {
    format(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), DURATION_UNITS, "0s")
}

/// Formats a size in the largest unit that leaves no remainder.
pub fn format_bytes(bytes: u64) -> String {
    format(bytes, BYTE_UNITS, "0B")
}

fn split<'a>(text: &'a str, example: &'static str) -> Result<(u64, &'a str), UnitError> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(UnitError::NoNumber { example });
    }
    let number = text[..digits].parse().map_err(|_| UnitError::TooLarge)?;
    Ok((number, text[digits..].trim_start()))
}

fn scale(
    number: u64,
    unit: &str,
    units: &[(&str, u64)],
    no_unit: UnitError,
) -> Result<u64, UnitError> {
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or(no_unit)?;
    number.checked_mul(*factor).ok_or(UnitError::TooLarge)
}

fn format(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    units
        .iter()
        .find(|(_, factor)| value > 0 && value.is_multiple_of(*factor))
        .map_or_else(|| zero.to_owned(), |(unit, factor)| format!("{}{unit}", value / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatted_value_parses_to_itself() {
        for text in ["500ms", "15s", "10m", "2h", "30d", "0s"] {
            assert_eq!(format_duration(parse_duration(text).expect(text)), text);
        }
        for text in ["1B", "64KiB", "1MiB", "4GiB", "2TiB", "0B"] {
            assert_eq!(format_bytes(parse_bytes(text).expect(text)), text);
        }
        assert_eq!(parse_duration("90 s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_bytes("2048"), Ok(2048));
    }

    #[test]
    fn an_invalid_value_is_rejected_with_the_expected_form() {
        assert!(parse_duration("15").unwrap_err().to_string().contains("ms, s, m, h, d"));
        assert!(parse_duration("soon").unwrap_err().to_string().contains("15s"));
        assert!(parse_duration("-1s").is_err());
        assert!(parse_bytes("1MB").unwrap_err().to_string().contains("MiB"));
        assert_eq!(parse_bytes("99999999999TiB"), Err(UnitError::TooLarge));
    }
}
