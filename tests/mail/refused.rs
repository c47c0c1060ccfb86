//! Mails that SES rejects

use crate::harness::{Fault, Faulty, eventually, otp};

/// Errors that reject one mail for good.
const FINAL: [(u16, &str); 5] = [
    (400, "BadRequestException"),
    (400, "MessageRejected"),
    (400, "ValidationException"),
    (403, "AccessDeniedException"),
    (403, "AccessDenied"),
];
/// Errors that concern every mail and may be transient.
const TRANSIENT: [(u16, &str); 9] = [
    (429, "TooManyRequestsException"),
    (400, "LimitExceededException"),
    (400, "MailFromDomainNotVerifiedException"),
    (400, "AccountSuspendedException"),
    (400, "SendingPausedException"),
    (404, "NotFoundException"),
    (403, "ExpiredTokenException"),
    (400, "SomethingNewException"),
    (500, "InternalFailure"),
];

#[tokio::test]
async fn a_final_rejection_does_not_block_the_mails_behind_it() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    for (number, (status, code)) in FINAL.into_iter().enumerate() {
        faulty.fail("SendEmail", 1, Fault::Refused(status, code));
        // Both mails are to one user, so that the second follows the first in its shard.
        let user = latchkey
            .signed_up(&format!("whistle-blower-{number}"))
            .await;
        latchkey.reset_token(&user).await;
        assert_eq!(faulty.calls("SendEmail"), 2, "{code}");
        let log = latchkey.log_with(number + 1, "the mail was refused").await;
        let line = log
            .iter()
            .rfind(|line| line.contains("the mail was refused"))
            .unwrap();
        assert!(
            line.contains(&format!(
                "code {code}, status {status}, request id INJECTED-1"
            )),
            "{line}"
        );
        assert_eq!(
            line.contains("ses:SendEmail in the policy"),
            code.starts_with("AccessDenied"),
            "{line}"
        );
        assert!(
            latchkey
                .queued_mails(&user)
                .await
                .iter()
                .any(|mail| mail.contains_key("settled_at"))
        );
        assert_eq!(latchkey.mails_to(&user.email).await.len(), 1, "{code}");
    }
    // Each is counted by the metric of the alarm for lost mails.
    let log = latchkey
        .log_with(FINAL.len(), r#""Outcome":"refused""#)
        .await;
    assert!(
        !log.iter().any(|line| line.contains("whistle-blower")),
        "{log:#?}"
    );
}

#[tokio::test]
async fn a_transient_rejection_loses_no_mail() {
    let faulty = Faulty::start(&otp::FOR_RACES[1..]).await;
    let latchkey = &faulty.latchkey;
    for (number, (status, code)) in TRANSIENT.into_iter().enumerate() {
        faulty.fail_always("SendEmail", Fault::Refused(status, code));
        let user = latchkey
            .signed_up(&format!("whistle-blower-{number}"))
            .await;
        faulty.called("SendEmail", 2).await;
        faulty.heal();
        latchkey
            .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
            .await;
        eventually("the mail is settled", || async {
            latchkey
                .queued_mails(&user)
                .await
                .iter()
                .all(|mail| mail.contains_key("settled_at"))
                .then_some(())
        })
        .await;
        let log = latchkey.log_with(1, code).await;
        assert!(
            log.iter()
                .any(|line| line.contains(&format!("code {code}, status {status}"))),
            "{log:#?}"
        );
        assert!(
            !log.iter().any(|line| line.contains("whistle-blower")),
            "{log:#?}"
        );
    }
}
