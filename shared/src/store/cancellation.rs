//! Interpretation of cancelled transactions.
//!
//! A cancelled transaction has written nothing. DynamoDB returns one reason per write, in the order
//! of the writes:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>

/// The consequence of a cancelled transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The write at this index is the first whose condition does not hold; the conditions of all
    /// writes before it hold.
    ConditionFailed(usize),
    /// The same transaction may succeed if it is sent again.
    Retry,
    /// The transaction cannot succeed, or DynamoDB gave no known reason.
    Failed,
}

/// The cancellation reason of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// This write did not cause the cancellation.
    None,
    /// The condition of the write does not hold.
    Condition,
    /// The item is in use by another transaction or write, or DynamoDB throttled the write.
    Transient,
    /// The write is not possible, or the reason is unknown.
    Other,
}

impl Reason {
    fn read(code: Option<&str>) -> Self {
        match code {
            None | Some("None") => Self::None,
            Some("ConditionalCheckFailed") => Self::Condition,
            Some("TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded") => {
                Self::Transient
            }
            // `ItemCollectionSizeLimitExceeded`, `ValidationError`, `DuplicateItem`,
            // `AccessDenied`, and codes that DynamoDB may add.
            Some(_) => Self::Other,
        }
    }
}

/// The verdict on a cancelled transaction, from the codes of its reasons.
///
/// A failed condition is definite: DynamoDB evaluated it on a committed item, or the reason would
/// be a conflict. But callers distinguish outcomes by the *first* condition that does not hold, so
/// a failed condition is the verdict only if no write before it was throttled or in conflict. If
/// one was, the transaction is sent again, unless another reason shows that a retry would fail.
pub(super) fn verdict<'a>(codes: impl IntoIterator<Item = Option<&'a str>>) -> Verdict {
    let reasons: Vec<Reason> = codes.into_iter().map(Reason::read).collect();
    let first = reasons.iter().position(|&reason| reason != Reason::None);
    match first.map(|index| (reasons[index], index)) {
        Some((Reason::Condition, index)) => Verdict::ConditionFailed(index),
        Some((Reason::Transient, _)) if !reasons.contains(&Reason::Other) => Verdict::Retry,
        Some((Reason::Transient | Reason::Other | Reason::None, _)) | None => Verdict::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONDITION: Option<&str> = Some("ConditionalCheckFailed");
    const CONFLICT: Option<&str> = Some("TransactionConflict");
    const THROTTLED: Option<&str> = Some("ThrottlingError");
    const EXCEEDED: Option<&str> = Some("ProvisionedThroughputExceeded");
    const INVALID: Option<&str> = Some("ValidationError");
    const UNKNOWN: Option<&str> = Some("SomethingNew");
    const NONE: Option<&str> = Some("None");

    #[test]
    fn every_combination_of_reasons_has_a_verdict() {
        for (codes, expected) in [
            // One reason.
            (&[CONDITION][..], Verdict::ConditionFailed(0)),
            (&[NONE, CONDITION], Verdict::ConditionFailed(1)),
            (&[None, None, CONDITION], Verdict::ConditionFailed(2)),
            (&[CONFLICT], Verdict::Retry),
            (&[NONE, CONFLICT, NONE], Verdict::Retry),
            (&[NONE, THROTTLED], Verdict::Retry),
            (&[EXCEEDED, NONE], Verdict::Retry),
            (&[INVALID], Verdict::Failed),
            (&[NONE, UNKNOWN], Verdict::Failed),
            (
                &[Some("ItemCollectionSizeLimitExceeded"), NONE],
                Verdict::Failed,
            ),
            // No reason, which is not a success either.
            (&[], Verdict::Failed),
            (&[NONE, None], Verdict::Failed),
            (&[Some("")], Verdict::Failed),
            // The first failed condition is the verdict, regardless of the reasons after it.
            (&[CONDITION, CONDITION], Verdict::ConditionFailed(0)),
            (&[CONDITION, CONFLICT], Verdict::ConditionFailed(0)),
            (&[NONE, CONDITION, THROTTLED], Verdict::ConditionFailed(1)),
            (&[CONDITION, INVALID], Verdict::ConditionFailed(0)),
            (&[CONDITION, UNKNOWN], Verdict::ConditionFailed(0)),
            // Another reason comes before the failed condition.
            (&[CONFLICT, CONDITION], Verdict::Retry),
            (&[NONE, EXCEEDED, CONDITION], Verdict::Retry),
            (&[UNKNOWN, CONDITION], Verdict::Failed),
            // Several transient reasons, or transient reasons with others.
            (&[CONFLICT, CONFLICT, THROTTLED], Verdict::Retry),
            (&[CONFLICT, INVALID], Verdict::Failed),
            (&[CONFLICT, CONDITION, UNKNOWN], Verdict::Failed),
            (&[UNKNOWN, CONFLICT], Verdict::Failed),
        ] {
            assert_eq!(verdict(codes.iter().copied()), expected, "{codes:?}");
        }
    }

    /// Compares the verdict with a second definition, for all transactions of four writes.
    #[test]
    fn no_other_reason_precedes_a_failed_condition() {
        let codes = [NONE, CONDITION, CONFLICT, UNKNOWN];
        for number in 0..256_usize {
            let list: Vec<Option<&str>> = (0..4)
                .map(|index| codes[number >> (2 * index) & 3])
                .collect();
            let before = list.iter().take_while(|&&code| code == NONE).count();
            let is_failed = list.get(before) == Some(&CONDITION);
            assert_eq!(
                verdict(list.iter().copied()) == Verdict::ConditionFailed(before),
                is_failed,
                "{list:?}"
            );
            assert!(
                is_failed
                    || !list.contains(&UNKNOWN)
                    || verdict(list.iter().copied()) == Verdict::Failed,
                "{list:?}"
            );
        }
    }
}
