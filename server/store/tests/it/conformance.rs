//! The oracle is a store too, so it must pass what it is compared with.

use std::sync::Arc;

use sentinel_store::conformance::{Harness, exercise};
use sentinel_store::oracle::Oracle;

#[tokio::test]
async fn the_oracle_conforms() {
    exercise(async || Harness::new(Arc::new(Oracle::default()))).await;
}
