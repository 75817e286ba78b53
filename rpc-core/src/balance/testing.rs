//! What the tests of the policies share: endpoints without servers, and counts of whom a picker picks.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::balance::load::Load;
use crate::balance::picker::{Builder, Pick};
use crate::discovery::Instance;

/// The start of the virtual time.
pub(crate) fn now() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// The instance of this number: its id does not depend on how many there are.
pub(crate) fn instance(number: usize) -> Instance {
    Instance::new(
        format!("10.0.{}.{}:7000", number / 250, number % 250 + 1).parse().expect("it is an address"),
    )
}

/// The endpoint of this instance.
pub(crate) fn endpoint(instance: Instance) -> Endpoint {
    Endpoint::new(Arc::new(instance), Arc::new(Load::new(now())))
}

/// So many endpoints of one weight.
pub(crate) fn endpoints(count: usize) -> Vec<Endpoint> {
    (0..count).map(|number| endpoint(instance(number))).collect()
}

/// An endpoint for each weight.
pub(crate) fn weighted(weights: &[u32]) -> Vec<Endpoint> {
    weights
        .iter()
        .enumerate()
        .map(|(number, &weight)| endpoint(instance(number).with_weight(weight)))
        .collect()
}

/// Whom it picks, so many times, with the same dice each time.
pub(crate) fn picks(builder: &dyn Builder, endpoints: &[Endpoint], times: usize) -> Vec<Option<usize>> {
    fastrand::seed(7);
    let picker = builder.build(endpoints, None, now());
    (0..times).map(|_| picker.pick(&Pick::new(now()))).collect()
}

/// How often it picks each, in so many picks of calls that end at once.
pub(crate) fn shares(builder: &dyn Builder, endpoints: &[Endpoint], times: usize) -> Vec<u32> {
    let mut shares = vec![0; endpoints.len()];
    for picked in picks(builder, endpoints, times) {
        shares[picked.expect("there is somebody")] += 1;
    }
    shares
}

/// How far counts are from what is expected in proportion: Pearson's chi-square. For nine degrees of freedom chance
/// exceeds 27.9 once in a thousand times, for eight 26.1.
pub(crate) fn chi_square(counts: &[u32], expected: &[f64]) -> f64 {
    let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    let sum: f64 = expected.iter().sum();
    counts
        .iter()
        .zip(expected)
        .map(|(&count, share)| {
            let expected = share / sum * total;
            (f64::from(count) - expected).powi(2) / expected
        })
        .sum()
}
