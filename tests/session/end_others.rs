//! `DELETE /resource/sessions`

use crate::harness::{Latchkey, Request, User, all_at_once, latchkey, session_id};

const PATH: &str = "/resource/sessions";

fn end_others(latchkey: &Latchkey, user: &User) -> Request {
    latchkey.by(user, "DELETE", PATH)
}

#[tokio::test]
async fn every_other_session_is_ended_and_the_current_one_stays_valid() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others").await;
    let other = latchkey.signed_up("others-other").await;
    let ended = [
        latchkey.signed_in(&user).await,
        latchkey.signed_in(&user).await,
    ];
    for _ in 0..2 {
        let answer = end_others(latchkey, &user).send().await;
        answer.is_empty(204);
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(
            latchkey.session_ids(&user).await,
            [session_id(&user.session)]
        );
    }
    for session in &ended {
        latchkey
            .get(PATH)
            .cookie(session)
            .send()
            .await
            .is_refused(401, &["authz.invalid_session"]);
        latchkey
            .sign_out(session)
            .send()
            .await
            .is_refused(404, &["identity.session.not_found"]);
    }
    // The CSRF token stays valid, the user can sign in again, and other users are not affected.
    let again = latchkey.signed_in(&user).await;
    assert_eq!(latchkey.session_ids(&user).await.len(), 2);
    latchkey
        .by(&user, "DELETE", &format!("{PATH}/{}", session_id(&again)))
        .send()
        .await
        .is_empty(204);
    assert_eq!(
        latchkey.session_ids(&other).await,
        [session_id(&other.session)]
    );
}

#[tokio::test]
async fn the_operation_is_recorded_and_counts_as_a_use_of_the_current_session() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others-recorded").await;
    latchkey.age_session(&user, &user.session, 1700).await;
    end_others(latchkey, &user).send().await.is_empty(204);
    // The use stored at authentication is kept in the new epoch, so the idle expiry has moved.
    latchkey.age_session(&user, &user.session, 1700).await;
    let activities = latchkey
        .get("/resource/users/activity/session")
        .cookie(&user.session)
        .send()
        .await;
    assert_eq!(activities.status, 200, "{activities:?}");
    let activities = activities.json();
    assert_eq!(
        (&activities[0]["action"], &activities[0]["result"]),
        (&"logout".into(), &"succeed".into())
    );
    assert_eq!(activities.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unsupported_or_malformed_body_is_rejected() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others-body").await;
    let session = latchkey.signed_in(&user).await;
    let request = || end_others(latchkey, &user);
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
    latchkey.sign_out(&session).send().await.is_empty(204);
    request()
        .form(&[("any", "thing")])
        .send()
        .await
        .is_empty(204);
}

#[tokio::test]
async fn of_sixteen_sessions_that_end_the_others_concurrently_one_is_left() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others-race").await;
    let mut users = Vec::new();
    for _ in 0..16 {
        users.push(latchkey.with_new_session(&user).await);
    }
    let answers = all_at_once(
        users
            .iter()
            .map(|user_with_session| end_others(latchkey, user_with_session)),
    )
    .await;
    let winners: Vec<&User> = users
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.status == 204)
        .map(|(user_with_session, _)| user_with_session)
        .collect();
    let [winner] = winners[..] else {
        panic!("{answers:?}")
    };
    for loser in answers.iter().filter(|answer| answer.status != 204) {
        loser.is_refused(401, &["authz.invalid_session"]);
    }
    assert_eq!(
        latchkey.session_ids(winner).await,
        [session_id(&winner.session)]
    );
}

#[tokio::test]
async fn sixteen_concurrent_requests_of_one_session_succeed_and_it_stays_valid() {
    let latchkey = latchkey().await;
    let user = latchkey.signed_up("others-repeated").await;
    let ended = latchkey.signed_in(&user).await;
    for answer in all_at_once((0..16).map(|_| end_others(latchkey, &user))).await {
        answer.is_empty(204);
    }
    assert_eq!(
        latchkey.session_ids(&user).await,
        [session_id(&user.session)]
    );
    latchkey
        .sign_out(&ended)
        .send()
        .await
        .is_refused(404, &["identity.session.not_found"]);
}
