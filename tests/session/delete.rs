//! `DELETE /identity/sessions`

use aws_sdk_dynamodb::types::AttributeValue;

use crate::harness::{all_at_once, claims, forgeries, latchkey};

const PATH: &str = "/identity/sessions";

#[tokio::test]
async fn a_request_without_a_session_is_rejected_with_missing_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out-missing").await;
    for request in [
        latchkey.delete(PATH),
        latchkey
            .delete(PATH)
            .header("cookie", "other=value; theme=dark"),
        latchkey.delete(PATH).header(
            "cookie",
            format!("x_barong_session={0}; _barong_session2={0}", user.session),
        ),
        latchkey
            .delete(PATH)
            .header("authorization", format!("Basic {}", user.session)),
        latchkey
            .delete(PATH)
            .header("authorization", user.session.clone()),
        latchkey.delete(&format!("{PATH}?_barong_session={}", user.session)),
    ] {
        latchkey
            .refuses(&user, request, 400, &["identity.session.missing_session"])
            .await;
    }
}

#[tokio::test]
async fn a_forged_session_is_not_found() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out-forged").await;
    let other = latchkey.signed_up("out-forger").await;
    for (what, forged) in forgeries(&user.session, &other.session) {
        let before = latchkey.items_of(&user).await;
        for request in [
            latchkey.sign_out(&forged),
            latchkey.delete(PATH).bearer(&forged),
        ] {
            let answer = request.send().await;
            assert_eq!(
                answer.text(),
                r#"{"errors":["identity.session.not_found"]}"#,
                "{what}"
            );
            assert_eq!(answer.status, 404, "{what}");
        }
        assert_eq!(latchkey.items_of(&user).await, before, "{what}");
    }
}

#[tokio::test]
async fn a_token_of_another_purpose_is_not_found() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out-purpose").await;
    let reset = latchkey.reset_token(&user).await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.confirmation_token().is_some())
        .await;
    for token in [reset.as_str(), mail.confirmation_token().unwrap()] {
        latchkey
            .refuses(
                &user,
                latchkey.sign_out(token),
                404,
                &["identity.session.not_found"],
            )
            .await;
        latchkey
            .refuses(
                &user,
                latchkey.delete(PATH).bearer(token),
                404,
                &["identity.session.not_found"],
            )
            .await;
    }
}

#[tokio::test]
async fn a_sign_out_ends_the_session_and_clears_the_cookie() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out").await;
    let session = latchkey.signed_in(&user).await;
    let mut expected = latchkey.items_of(&user).await;
    expected.retain(|key, _| {
        !key.ends_with(&shared::platform::random::sha256_hex(
            claims(&session)["jti"].as_str().unwrap(),
        ))
    });

    // A sign-out requires neither the same user agent nor a CSRF token.
    let answer = latchkey
        .delete(PATH)
        .header("cookie", format!("a=b; _barong_session={session}; c=d"))
        .header("user-agent", "Other/2")
        .send()
        .await;
    answer.is_empty(204);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("_barong_session=;"), "{cookie}");
    for attribute in [
        "; Path=/",
        "; HttpOnly",
        "; Secure",
        "; SameSite=Lax",
        "; Max-Age=0",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert_eq!(latchkey.items_of(&user).await, expected);
    latchkey
        .refuses(
            &user,
            latchkey.sign_out(&session),
            404,
            &["identity.session.not_found"],
        )
        .await;
    latchkey.sign_out(&user.session).send().await.is_empty(204);
}

#[tokio::test]
async fn a_bearer_token_ends_its_session_and_takes_precedence_over_the_cookie() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out-bearer").await;
    let cookie = latchkey.signed_in(&user).await;
    let bearer = latchkey.signed_in(&user).await;

    latchkey
        .refuses(
            &user,
            latchkey.sign_out(&cookie).bearer("forged"),
            404,
            &["identity.session.not_found"],
        )
        .await;
    latchkey
        .sign_out(&cookie)
        .bearer(&bearer)
        .send()
        .await
        .is_empty(204);
    latchkey
        .refuses(
            &user,
            latchkey.delete(PATH).bearer(&bearer),
            404,
            &["identity.session.not_found"],
        )
        .await;
    latchkey.sign_out(&cookie).send().await.is_empty(204);
    latchkey
        .delete(PATH)
        .header("authorization", format!("bearer {}", user.session))
        .send()
        .await
        .is_empty(204);
}

#[tokio::test]
async fn an_idle_session_expires() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out-idle").await;
    latchkey.age_session(&user, &user.session, 1861).await;
    latchkey
        .sign_out(&user.session)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);

    let session = latchkey.signed_in(&user).await;
    latchkey.age_session(&user, &session, 1770).await;
    latchkey.sign_out(&session).send().await.is_empty(204);
}

#[tokio::test]
async fn a_session_in_use_expires_after_a_day() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out-day").await;
    for (age, status) in [(86_401, 404), (86_370, 204)] {
        let session = latchkey.signed_in(&user).await;
        latchkey.age_session(&user, &session, age).await;
        latchkey.use_session(&user, &session).await;
        assert_eq!(
            latchkey.sign_out(&session).send().await.status,
            status,
            "{age}"
        );
    }
}

#[tokio::test]
async fn a_session_of_an_earlier_epoch_is_invalid() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out-epoch").await;
    latchkey
        .edit_user(&user, |item| {
            drop(item.insert(
                "session_epoch".to_owned(),
                AttributeValue::N("1000".to_owned()),
            ));
        })
        .await;
    latchkey
        .sign_out(&user.session)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    let session = latchkey.signed_in(&user).await;
    latchkey.sign_out(&session).send().await.is_empty(204);
}

#[tokio::test]
async fn the_session_of_a_deleted_user_is_invalid() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out-gone").await;
    latchkey.delete_user(&user).await;
    latchkey
        .sign_out(&user.session)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
}

#[tokio::test]
async fn only_one_of_eight_concurrent_sign_outs_of_one_session_succeeds() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("out-race").await;
    let answers = all_at_once((0..8).map(|_| latchkey.sign_out(&user.session))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 204).count(),
        1
    );
    for loser in answers.iter().filter(|answer| answer.status != 204) {
        loser.is_refused(404, &["identity.session.not_found"]);
    }
}
