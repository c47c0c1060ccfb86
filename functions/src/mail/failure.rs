//! Failed calls to SES.

use shared::platform::aws_error::Kind;

/// The consequence of a failed call to SES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureOutcome {
    /// The mail is not retried, because SES would always reject it and the mails behind it would
    /// wait.
    GiveUp,
    /// Like `GiveUp`, but the cause is a missing permission.
    Denied,
    /// The mail is retried until it expires.
    Retry,
}

/// A failure that concerns only this mail is final. A failure that concerns every mail of the AWS
/// account is retried: the mails behind this one could not be sent either, and no mail is lost if
/// the cause is removed in time.
pub(super) fn failure_outcome(kind: Kind, code: Option<&str>) -> FailureOutcome {
    match kind {
        // A retry would build the same request.
        Kind::Construction => FailureOutcome::GiveUp,
        Kind::Timeout | Kind::Connection(_) | Kind::Unreadable => FailureOutcome::Retry,
        Kind::Refused => match code.unwrap_or_default() {
            // `MessageRejected` means that an address is not verified (in the sandbox, the
            // recipient's), or that SES does not accept the content.
            "BadRequestException"
            | "MessageRejected"
            | "ValidationException"
            | "ValidationError" => FailureOutcome::GiveUp,
            // In the sandbox, SES also checks the permission for the recipient's identity, so a
            // mail to another recipient may be accepted.
            "AccessDeniedException" | "AccessDenied" => FailureOutcome::Denied,
            // The other codes concern all mails until the cause is removed: the quota
            // (`TooManyRequestsException`, `LimitExceededException`), the sender
            // (`MailFromDomainNotVerifiedException`), the AWS account (`AccountSuspendedException`,
            // `SendingPausedException`), the configuration set (`NotFoundException`), AWS
            // credentials, or an outage. An unknown code is also retried, so that no mail is lost.
            _ => FailureOutcome::Retry,
        },
    }
}
