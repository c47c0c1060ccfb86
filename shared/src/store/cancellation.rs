//! What it means that DynamoDB cancelled a transaction.
//!
//! A cancelled transaction has written nothing. It lists one reason per write, in the order of the
//! writes:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>

/// What to do about a cancelled transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The condition of the write at this place does not hold, and those of all writes before it
    /// do.
    Lost(usize),
    /// The same transaction may succeed if it is sent again.
    Again,
    /// It cannot succeed, or nothing is known of why it did not.
    Failed,
}

/// A reason, for one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// Nothing was wrong with this write.
    None,
    /// Its condition does not hold.
    Condition,
    /// Another transaction or write has the item, or there is too much to do.
    Passing,
    /// The write can never be made, or the reason is unknown.
    Other,
}

impl Reason {
    fn read(code: Option<&str>) -> Self {
        match code {
            None | Some("None") => Self::None,
            Some("ConditionalCheckFailed") => Self::Condition,
            Some("TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded") => {
                Self::Passing
            }
            // `ItemCollectionSizeLimitExceeded`, `ValidationError`, `DuplicateItem`,
            // `AccessDenied`, and what does not exist yet.
            Some(_) => Self::Other,
        }
    }
}

/// The verdict on a cancelled transaction, by the codes of its reasons.
///
/// A condition that was evaluated is definite: it was evaluated on a committed item, or the reason
/// would be a conflict. But callers tell outcomes by the *first* condition that does not hold, so
/// it decides only if nothing before it is undecided. If something is, the transaction is sent
/// again, unless a reason says that it would fail again.
pub(super) fn verdict<'a>(codes: impl IntoIterator<Item = Option<&'a str>>) -> Verdict {
    let reasons: Vec<Reason> = codes.into_iter().map(Reason::read).collect();
    let first = reasons.iter().position(|&reason| reason != Reason::None);
    match first.map(|place| (reasons[place], place)) {
        Some((Reason::Condition, place)) => Verdict::Lost(place),
        Some((Reason::Passing, _)) if !reasons.contains(&Reason::Other) => Verdict::Again,
        Some((Reason::Passing | Reason::Other | Reason::None, _)) | None => Verdict::Failed,
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
    fn every_combination_of_reasons_has_its_verdict() {
        for (codes, expected) in [
            // One reason.
            (&[CONDITION][..], Verdict::Lost(0)),
            (&[NONE, CONDITION], Verdict::Lost(1)),
            (&[None, None, CONDITION], Verdict::Lost(2)),
            (&[CONFLICT], Verdict::Again),
            (&[NONE, CONFLICT, NONE], Verdict::Again),
            (&[NONE, THROTTLED], Verdict::Again),
            (&[EXCEEDED, NONE], Verdict::Again),
            (&[INVALID], Verdict::Failed),
            (&[NONE, UNKNOWN], Verdict::Failed),
            (
                &[Some("ItemCollectionSizeLimitExceeded"), NONE],
                Verdict::Failed,
            ),
            // None, which is no success either.
            (&[], Verdict::Failed),
            (&[NONE, None], Verdict::Failed),
            (&[Some("")], Verdict::Failed),
            // The first condition decides, whatever is behind it.
            (&[CONDITION, CONDITION], Verdict::Lost(0)),
            (&[CONDITION, CONFLICT], Verdict::Lost(0)),
            (&[NONE, CONDITION, THROTTLED], Verdict::Lost(1)),
            (&[CONDITION, INVALID], Verdict::Lost(0)),
            (&[CONDITION, UNKNOWN], Verdict::Lost(0)),
            // What is before it is undecided.
            (&[CONFLICT, CONDITION], Verdict::Again),
            (&[NONE, EXCEEDED, CONDITION], Verdict::Again),
            (&[UNKNOWN, CONDITION], Verdict::Failed),
            // What passes, with others.
            (&[CONFLICT, CONFLICT, THROTTLED], Verdict::Again),
            (&[CONFLICT, INVALID], Verdict::Failed),
            (&[CONFLICT, CONDITION, UNKNOWN], Verdict::Failed),
            (&[UNKNOWN, CONFLICT], Verdict::Failed),
        ] {
            assert_eq!(verdict(codes.iter().copied()), expected, "{codes:?}");
        }
    }

    /// Reads again what is lost, by a second definition, for all transactions of up to four writes.
    #[test]
    fn a_lost_condition_has_nothing_undecided_before_it() {
        let codes = [NONE, CONDITION, CONFLICT, UNKNOWN];
        for number in 0..256_usize {
            let list: Vec<Option<&str>> = (0..4)
                .map(|place| codes[number >> (2 * place) & 3])
                .collect();
            let before = list.iter().take_while(|&&code| code == NONE).count();
            let is_lost = list.get(before) == Some(&CONDITION);
            assert_eq!(
                verdict(list.iter().copied()) == Verdict::Lost(before),
                is_lost,
                "{list:?}"
            );
            assert!(
                is_lost
                    || !list.contains(&UNKNOWN)
                    || verdict(list.iter().copied()) == Verdict::Failed,
                "{list:?}"
            );
        }
    }
}
