//! Kinds: what workers declare, kept for as long as they are seen.

use sentinel_domain::limits::PAGE_MAX;
use sentinel_domain::{Millis, Name};

use crate::KnownKind;
use crate::rows::KindRows;
use crate::sql::Fault;

/// Names of one statement.
const NAMES: usize = 200;

/// Takes declarations in. Where there are more than `max`, those go that were not seen for longest.
pub(crate) async fn declare_kinds<R: KindRows>(
    rows: &mut R,
    declared: &[KnownKind],
    max: u64,
) -> Result<(), Fault> {
    for kind in declared {
        rows.add_kind(kind).await?;
        rows.declare_kind(kind).await?;
        rows.see_kinds(&[&kind.name], kind.seen_at).await?;
    }
    let surplus = rows.count_kinds().await? - max.cast_signed();
    if surplus > 0 {
        let stale = rows.stale_kinds(surplus).await?;
        for names in stale.chunks(NAMES) {
            rows.drop_kinds(names).await?;
        }
    }
    Ok(())
}

/// Notes that live workers have them.
pub(crate) async fn see_kinds<R: KindRows>(
    rows: &mut R,
    names: &[Name],
    at: Millis,
) -> Result<(), Fault> {
    for names in names.chunks(NAMES) {
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        rows.see_kinds(&names, at).await?;
    }
    Ok(())
}

pub(crate) async fn drop_unseen_kinds<R: KindRows>(
    rows: &mut R,
    before: Millis,
) -> Result<(), Fault> {
    rows.drop_unseen_kinds(before).await
}

/// A page by name.
pub(crate) async fn kinds<R: KindRows>(
    rows: &mut R,
    after: &str,
    limit: usize,
) -> Result<Vec<KnownKind>, Fault> {
    rows.kinds(after, limit.clamp(1, PAGE_MAX as usize + 1) as i64).await
}

pub(crate) async fn kind<R: KindRows>(
    rows: &mut R,
    name: &str,
) -> Result<Option<KnownKind>, Fault> {
    rows.kind(name).await
}
