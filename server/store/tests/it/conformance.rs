//! The oracle is a store too, so it must pass what it is compared with.

use std::sync::Arc;

use sentinel_store::conformance::{Harness, run_suite};
use sentinel_store::oracle::Oracle;

#[tokio::test]
async fn the_oracle_conforms() {
    run_suite(async || Harness::new(Arc::new(Oracle::default()))).await;
}
