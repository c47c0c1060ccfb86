//! Median and quantiles.

use std::time::Duration;

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value at this share (0 to 1) of the sorted values; zero for an empty slice.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the result is an index into a slice of a few thousand values"
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
    fn a_quantile_is_one_of_the_values() {
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
