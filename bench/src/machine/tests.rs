use super::to_utc;

#[test]
fn a_moment_is_written_as_its_utc_date() {
    assert_eq!(to_utc(0), "1970-01-01T000000Z");
    assert_eq!(to_utc(951_782_399), "2000-02-28T235959Z");
    assert_eq!(to_utc(951_782_400), "2000-02-29T000000Z");
    assert_eq!(to_utc(1_795_348_800), "2026-11-22T120000Z");
}
