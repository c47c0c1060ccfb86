//! `DELETE /resource/sessions/{id}`

use crate::harness::{Latchkey, Request, User, all_at_once, latchkey, session_id};

fn end(latchkey: &Latchkey, user: &User, id: &str) -> Request {
    latchkey.by(user, "DELETE", &format!("/resource/sessions/{id}"))
}

#[tokio::test]
async fn another_session_of_the_user_is_ended() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("end").await;
    let ended = latchkey.signed_in(&user).await;
    let kept = latchkey.signed_in(&user).await;
    let answer = end(latchkey, &user, &session_id(&ended)).send().await;
    answer.is_empty(204);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(latchkey.session_item(&user, &ended).await, None);
    latchkey
        .sign_out(&ended)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
    latchkey
        .refuses(
            &user,
            end(latchkey, &user, &session_id(&ended)),
            404,
            &["record.not_found"],
        )
        .await;
    latchkey.sign_out(&kept).send().await.is_empty(204);
    latchkey.sign_out(&user.session).send().await.is_empty(204);
}

#[tokio::test]
async fn ending_the_current_session_clears_the_cookie() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("end-own").await;
    let answer = end(latchkey, &user, &session_id(&user.session))
        .send()
        .await;
    answer.is_empty(204);
    let cookie = "_barong_session=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0";
    assert_eq!(answer.header("set-cookie"), Some(cookie));
    latchkey
        .refuses(
            &user,
            end(latchkey, &user, &session_id(&user.session)),
            401,
            &["authz.invalid_session"],
        )
        .await;
}

#[tokio::test]
async fn an_id_without_a_valid_session_of_the_user_is_not_found() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("end-none").await;
    let other = latchkey.signed_up("end-other").await;
    let idle = latchkey.signed_in(&user).await;
    latchkey.age_session(&user, &idle, 1861).await;
    let others = latchkey.items_of(&other).await;
    let own = session_id(&user.session);
    let long = "a".repeat(6000);
    for id in [
        &session_id(&other.session),
        &session_id(&idle),
        &own.to_uppercase(),
        &own[..63],
        &format!("{own}0"),
        &format!("%20{own}"),
        &format!("SESSION%23{own}"),
        &long,
        "none",
        "%00",
        "%20",
        "%ff",
        "*",
        "%E2%80%AE",
        "%7B%22S%22%3A1%7D",
        "%5B%5D%7C%5E%5C",
        "..%20",
        "0",
    ] {
        latchkey
            .refuses(&user, end(latchkey, &user, id), 404, &["record.not_found"])
            .await;
    }
    assert_eq!(latchkey.items_of(&other).await, others);
    assert_eq!(latchkey.session_ids(&user).await, [own]);
}

#[tokio::test]
async fn an_ended_session_is_recorded_as_a_sign_out() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("end-recorded").await;
    let ended = latchkey.signed_in(&user).await;
    end(latchkey, &user, &session_id(&ended))
        .send()
        .await
        .is_empty(204);
    end(latchkey, &user, &session_id(&ended))
        .send()
        .await
        .is_refused(404, &["record.not_found"]);
    let activities = latchkey
        .get("/resource/users/activity/session")
        .cookie(&user.session)
        .send()
        .await
        .json();
    let action_and_result =
        |number: usize| [&activities[number]["action"], &activities[number]["result"]];
    assert_eq!(
        (action_and_result(0), action_and_result(1)),
        (
            ["logout", "succeed"].map(Into::into).each_ref(),
            ["login", "succeed"].map(Into::into).each_ref()
        )
    );
    assert_eq!(activities.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_unsupported_or_malformed_body_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("end-body").await;
    let request = || end(latchkey, &user, &session_id(&user.session));
    latchkey
        .refuses(
            &user,
            request().body("text/plain", "x"),
            415,
            &["request.unsupported_media_type"],
        )
        .await;
    latchkey
        .refuses(
            &user,
            request().body("application/json", "{"),
            400,
            &["request.malformed_body"],
        )
        .await;
    let large = vec![b' '; 16 * 1024 + 1];
    latchkey
        .refuses(
            &user,
            request().body("application/json", large),
            413,
            &["request.too_large"],
        )
        .await;
    request()
        .form(&[("any", "thing")])
        .send()
        .await
        .is_empty(204);
}

#[tokio::test]
async fn only_one_of_sixteen_concurrent_requests_to_end_a_session_succeeds() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("end-race").await;
    let ended = latchkey.signed_in(&user).await;
    let answers = all_at_once((0..16).map(|_| end(latchkey, &user, &session_id(&ended)))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 204).count(),
        1
    );
    for loser in answers.iter().filter(|answer| answer.status != 204) {
        loser.is_refused(404, &["record.not_found"]);
    }
}
