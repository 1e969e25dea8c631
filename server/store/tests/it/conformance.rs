//! The oracle must pass the conformance suite, as any other store.

use std::sync::Arc;

use sentinel_store::conformance::{Harness, run_suite};
use sentinel_store::oracle::Oracle;

#[tokio::test]
async fn the_oracle_passes_the_conformance_suite() {
    run_suite(async || Harness::new(Arc::new(Oracle::default()))).await;
}
