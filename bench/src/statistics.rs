//! Numbers out of many numbers.

use std::time::Duration;

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that this share of them does not exceed; of none, zero.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index"
)]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut ordered = values.to_vec();
    ordered.sort_by(f64::total_cmp);
    let last = ordered.len().saturating_sub(1);
    let index = (share * ordered.len() as f64) as usize;
    ordered.get(index.min(last)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_there_are() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|share| quantile(&values, share).to_string()),
            ["1", "3", "5", "5"]
        );
        assert_eq!(
            (median(&[7.0]).to_string(), median(&[]).to_string()),
            ("7".to_owned(), "0".to_owned())
        );
    }
}
