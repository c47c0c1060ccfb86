//! Stored attributes of an unexpected type

use serde_json::json;

use super::services::requests;
use crate::harness::{Fault, Faulty, PASSWORD, otp};

#[tokio::test]
async fn an_attribute_of_an_unexpected_type_is_an_internal_error_without_a_panic() {
    let faulty = Faulty::start(&[
        otp::FOR_RACES[1],
        ("IDENTITY_REQUESTS_PER_MINUTE", "100000"),
    ])
    .await;
    let latchkey = &faulty.latchkey;
    let user = latchkey.signed_up("types").await;
    let token = latchkey.reset_token(&user).await;
    // The mails are delivered before the first fault.
    latchkey.mail_to(&user.email, 2, |_| true).await;
    let before = latchkey.everything().await;
    let mut failed = 0;
    for fault in [Fault::WrongType, Fault::UnknownType] {
        for number in 0..requests(&faulty, &user, &token).len() {
            for call in ["BatchGetItem", "Query"] {
                let (request, calls) = requests(&faulty, &user, &token).remove(number);
                // An address without an account has no items.
                if !calls.contains(&call) || [1, 10].contains(&number) {
                    continue;
                }
                faulty.fail_always(call, fault);
                request
                    .send()
                    .await
                    .is_refused(500, &["server.internal_error"]);
                failed += 1;
            }
        }
        // The count is part of the answer to the write.
        faulty.plan(move |operation| (operation == "UpdateItem").then_some(fault));
        latchkey
            .sign_in(&user.email, PASSWORD)
            .send()
            .await
            .is_refused(500, &["server.internal_error"]);
        for (call, event) in [
            ("Scan", json!({ "action": "export" })),
            (
                "BatchGetItem",
                json!({ "action": "show", "email": user.email }),
            ),
            ("BatchGetItem", json!({ "action": "show", "uid": user.uid })),
        ] {
            faulty.fail_always(call, fault);
            let answer = latchkey
                .invoke("ManageUsersFunction", event)
                .await
                .expect("an answer");
            assert_eq!(answer["error"]["code"], "internal", "{answer}");
        }
    }
    assert!(failed >= 14, "{failed}");
    faulty.heal();
    assert_eq!(latchkey.everything().await, before);
    let log = latchkey.log();
    assert!(
        !log.iter().any(|line| line.contains("panicked")),
        "{log:#?}"
    );
    assert!(
        log.iter()
            .any(|line| line.contains("a stored item cannot be read as a "))
    );
}
